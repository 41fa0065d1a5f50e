"""Speed and tiles of super-resolution."""
