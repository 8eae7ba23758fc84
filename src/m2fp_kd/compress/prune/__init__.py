"""Channel pruning: what hangs together, what it costs, what matters least, and what goes."""
