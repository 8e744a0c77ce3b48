"""What the toolkit knows, as data: our metrics and the facts about each Airflow release. No I/O here."""
