"""Celery's brokers and workers, read as the exporter reads them."""
