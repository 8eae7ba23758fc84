"""Reports, charts, pictures and tables of runs."""
