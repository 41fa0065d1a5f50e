"""Chains of commands, each in its own process."""
