"""Names and shapes of other projects' weights."""
