"""OTLP in: requests, the streams of their points, and the servers that take them."""
