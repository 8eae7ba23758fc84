"""Losses, one file each: a pure function and the term that adds it to an objective."""
