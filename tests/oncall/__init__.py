"""Proof of what whoever is on call is told."""
