"""Speed and accuracy of the path from a video to aligned faces."""
