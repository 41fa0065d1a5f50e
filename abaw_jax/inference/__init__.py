"""Predictions, features and pictures of a trained model."""
