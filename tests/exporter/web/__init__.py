"""Tests of the HTTP endpoint: addresses, TLS, who gets in, limits, and the status page."""
