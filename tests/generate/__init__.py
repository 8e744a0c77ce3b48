"""Proof of the rooms that generate files."""
