"""Objectives: what is recorded of them, and the alerts on that."""
