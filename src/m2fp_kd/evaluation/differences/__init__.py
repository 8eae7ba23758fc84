"""Compare two artefacts on labelled photos: the parts and photos that improved, and those that got worse."""
