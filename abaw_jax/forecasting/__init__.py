"""What a step needs of a TPU slice, from its compiled program."""
