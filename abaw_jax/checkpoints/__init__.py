"""Runs on disk: checkpoints, weights, best weights of each task."""
