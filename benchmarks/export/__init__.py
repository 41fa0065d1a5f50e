"""Sizes, errors and times of exported networks."""
