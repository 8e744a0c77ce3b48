"""Proof of what the catalogue knows."""
