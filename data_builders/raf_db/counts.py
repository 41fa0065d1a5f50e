"""Published counts of RAF-DB (basic)."""

_TRAIN = {
    'rows': 12_271,
    'Surprise': 1_290,
    'Fear': 281,
    'Disgust': 717,
    'Happiness': 4_772,
    'Sadness': 1_982,
    'Anger': 705,
    'Neutral': 2_524,
}
_TEST = {
    'rows': 3_068,
    'Surprise': 329,
    'Fear': 74,
    'Disgust': 160,
    'Happiness': 1_185,
    'Sadness': 478,
    'Anger': 162,
    'Neutral': 680,
}
# Counts in papers that train on it.
PUBLISHED = {
    config: {'train': _TRAIN, 'test': _TEST}
    for config in ('frames', 'published')
}
