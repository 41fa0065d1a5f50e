"""Lists, labels and submissions of the challenge."""
