"""A page on this machine that shows predictions for a webcam or a video."""
