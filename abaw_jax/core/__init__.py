"""Errors, files, label spaces, choices by name and the command line."""
