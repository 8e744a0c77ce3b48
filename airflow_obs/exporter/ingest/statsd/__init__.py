"""StatsD in: lines, what they mean, and the sockets they come through."""
