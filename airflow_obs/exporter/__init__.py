"""The room for Prometheus: runs the collectors in the background and serves what they found."""
