"""Names and shapes of the weights of convolutional networks."""
