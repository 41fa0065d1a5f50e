"""Writes rendered faces in the layouts of datasets of single faces."""
