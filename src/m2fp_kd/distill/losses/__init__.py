"""Losses as pure functions, one file per idea: tensors in, one scalar tensor out, float32 inside."""
