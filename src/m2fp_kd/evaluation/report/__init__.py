"""What a run leaves to look at: report, charts, pictures, tables."""
