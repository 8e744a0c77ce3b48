"""How sources are found and reached."""
