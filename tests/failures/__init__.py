"""Every failure mode that the metadata database can show: how it comes about, which metrics move, and what cures it."""
