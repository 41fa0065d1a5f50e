"""Runs on disk: configs, checkpoints, weights, best weights of each task."""
