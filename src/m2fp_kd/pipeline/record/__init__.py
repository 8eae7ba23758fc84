"""What a run writes down: its folder, lineage, times, scores and report."""
