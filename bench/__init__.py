"""Measures what the exporter costs the database, and how fast and small it is; prints figures and judges none of them."""
