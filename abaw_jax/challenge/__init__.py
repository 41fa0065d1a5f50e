"""Lists, labels and submissions of the challenge, as text files."""
