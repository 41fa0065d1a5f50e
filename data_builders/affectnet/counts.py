"""Published counts of AffectNet."""

_CLASSES = {
    'Neutral': 74_874,
    'Anger': 24_882,
    'Disgust': 3_803,
    'Fear': 6_378,
    'Happiness': 134_415,
    'Sadness': 25_459,
    'Surprise': 14_090,
    'Other': 3_750,  # Contempt
}
# Rows, faces and classes that the notebooks of Savchenko (HSE-NN) print. They keep
# the rows with an expression and a face box. One happy image has two such rows.
PUBLISHED = {
    'manual_2017': {
        'train': {
            'rows': 414_800,
            'faces': 287_652,
            **_CLASSES,
            'Happiness': 134_416,
        },
        'validation': {
            'rows': 5_500,
            'faces': 4_000,
            **dict.fromkeys(_CLASSES, 500),
        },
    },
    'release_2021': {
        'train': {'rows': 287_651, 'faces': 287_651},
        'validation': {'rows': 3_999, 'faces': 3_999},
    },
}
