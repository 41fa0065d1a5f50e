"""Tables that commands print about predictions."""
