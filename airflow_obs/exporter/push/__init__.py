"""What is sent out: the snapshot as OTLP, as StatsD, and as a file for node_exporter."""
