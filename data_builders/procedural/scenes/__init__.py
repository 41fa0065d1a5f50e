"""Rendered scenes: people in a room, filmed in clips with the truth of every frame."""
