"""Names that are not ours: mapping files of statsd_exporter, and the families made by them."""
