"""Enlarges files, folders and datasets of images."""
