"""Benchmarks of the path from a video to a table."""
