"""What each collector says of a database in a known state, on every schema, as the least-privileged role."""
