"""The page for people at /: whether all is well, by the same alerts that Prometheus judges."""
