"""Cost: time, memory, size and operations of an artefact.

Imports neither PyTorch nor a plotting library, so that a measured process holds only what a server holds.
"""
