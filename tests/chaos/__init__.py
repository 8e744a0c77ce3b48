"""The exporter as a process against sources that freeze, die, lock, forget, refuse and never answer."""
