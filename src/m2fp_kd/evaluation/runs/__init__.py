"""Compare many runs: a table of all runs, their Pareto front, and the gain of each objective over labels alone."""
