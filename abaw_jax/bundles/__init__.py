"""Bundles: one folder that turns face crops into predictions, and its device side."""
