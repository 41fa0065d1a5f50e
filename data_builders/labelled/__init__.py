"""Shared code of the datasets of labelled single faces."""
