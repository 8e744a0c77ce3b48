"""The HTTP endpoint: who may listen, who gets in, and what is answered."""
