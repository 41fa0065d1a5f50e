"""What follows the network: smoothing, thresholds, blending, and their tuning."""
