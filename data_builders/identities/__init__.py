"""Face images with the number of the person."""
