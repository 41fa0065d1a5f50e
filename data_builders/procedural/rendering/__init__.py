"""Renders videos of parametric faces and their labels."""
