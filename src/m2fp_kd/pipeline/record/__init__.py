"""Record a run: its folder, lineage, latency, scores and report."""
