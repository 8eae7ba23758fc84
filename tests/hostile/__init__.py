"""Generators of hostile inputs, shared by the tests of every room: photos, label maps and file names."""
