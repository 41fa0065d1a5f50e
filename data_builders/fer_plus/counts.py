"""Published counts of FER+."""

# Rows by usage, from the README of FER+.
PUBLISHED = {
    'frames': {
        'train': {'rows': 28_709},
        'validation': {'rows': 3_589},
        'test': {'rows': 3_589},
    }
}
