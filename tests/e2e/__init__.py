"""End to end: a real Airflow, our exporter and a real Prometheus; what Prometheus holds is what Airflow says."""
