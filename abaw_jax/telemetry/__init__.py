"""Reports of a run: metrics, speed, goodput, pictures, profiles."""
