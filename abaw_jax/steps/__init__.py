"""The jitted update: gradients, optimizer, EMA, carry."""
