"""Every model by name, and its FLOPs."""
