"""Tests of what is sent out: OTLP, StatsD and the textfile, and what happens while nobody takes it."""
