"""Metrics, their intervals, and files of predictions."""
