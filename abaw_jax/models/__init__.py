"""The models, built by name from a config, and their FLOPs."""
