"""Airflow's own names: those of each release, and what two of them were seen to send."""
