"""Steps after the network: blending, smoothing, calibration, and their tuning."""
