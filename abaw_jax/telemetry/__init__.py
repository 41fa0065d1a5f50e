"""What a run reports: metrics, speed, goodput, pictures, profiles."""
