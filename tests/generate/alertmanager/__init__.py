"""What is generated for Alertmanager."""
