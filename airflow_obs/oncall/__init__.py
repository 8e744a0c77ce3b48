"""The room for who is on call: alert in, answer out."""
