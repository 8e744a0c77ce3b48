"""An embedded PostgreSQL with a real Airflow schema and simulated work, watched by a real exporter."""
