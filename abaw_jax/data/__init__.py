"""Records of built datasets, their order in training, and batches of images."""
