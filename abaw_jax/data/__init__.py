"""Records of built datasets, and how they become batches of images."""
