"""Videos of cached features, read as windows or as stateful videos."""
