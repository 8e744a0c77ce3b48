"""The proof: tests, and what they stand on (real releases, real schemas, rows named by state)."""
