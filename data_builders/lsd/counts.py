"""Published counts of the LSD data of the 4th ABAW competition."""

# Counts that the notebooks of Savchenko (HSE-NN) print. Their validation counts
# follow from the printed accuracy of each class.
PUBLISHED = {
    'frames': {
        'train': {
            'rows': 277_251,
            'Anger': 18_286,
            'Disgust': 15_150,
            'Fear': 10_923,
            'Happiness': 73_285,
            'Sadness': 144_631,
            'Surprise': 14_976,
        },
        'validation': {
            'rows': 4_670,
            'Anger': 804,
            'Disgust': 252,
            'Fear': 523,
            'Happiness': 1_714,
            'Sadness': 774,
            'Surprise': 603,
        },
        'test': {'rows': 106_120},
    }
}
