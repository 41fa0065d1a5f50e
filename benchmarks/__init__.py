"""Commands that print a table: speed, traffic and the gain of each method."""
