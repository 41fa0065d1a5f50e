"""Names and shapes of the weights of other projects."""
