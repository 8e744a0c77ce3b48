"""How we reach the outside: thin, timed out, and without metric names, verdicts or queries."""
