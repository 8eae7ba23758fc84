"""Prune channels: coupled groups, their cost, their importance, and the plan of a step."""
