"""Renders faces and writes them in the layouts of real datasets."""
