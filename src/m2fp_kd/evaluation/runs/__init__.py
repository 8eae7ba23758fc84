"""Many runs side by side: one table of all, their Pareto front, what a recipe gains over its labels-only twin."""
