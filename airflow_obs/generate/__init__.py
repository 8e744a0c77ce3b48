"""The room for generated files: what the catalogue and the policy say, as text to be committed or deployed."""
