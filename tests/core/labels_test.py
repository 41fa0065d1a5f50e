"""The expression of every class code of every dataset."""

import pytest

from abaw_jax.core import labels

NONE = -1
# Written by hand: code in each dataset -> id in the s-Aff-Wild2 files: 0
# Neutral, 1 Anger, 2 Disgust, 3 Fear, 4 Happiness, 5 Sadness, 6 Surprise, 7
# Other.
EXPECTED = {
    's_aff_wild2': {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7},
    # Neutral Happy Sad Surprise Fear Disgust Anger Contempt None Uncertain No
    'affectnet': {
        0: 0, 1: 4, 2: 5, 3: 6, 4: 3, 5: 2, 6: 1, 7: 7, 8: NONE, 9: NONE,
        10: NONE,
    },
    # Neutral Happy Surprise Sad Anger Disgust Fear Contempt unknown NF
    'fer_plus': {
        0: 0, 1: 4, 2: 6, 3: 5, 4: 1, 5: 2, 6: 3, 7: 7, 8: NONE, 9: NONE,
    },
    # Surprise Fear Disgust Happiness Sadness Anger Neutral, from 1
    'raf_db': {1: 6, 2: 3, 3: 2, 4: 4, 5: 5, 6: 1, 7: 0},
    # Anger Disgust Fear Happiness Sadness Surprise
    'lsd': {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6},
}  # fmt: skip


@pytest.mark.parametrize('dataset', EXPECTED)
def test_every_code_of_every_dataset(dataset):
  found = {
      code: labels.expression_id(dataset, code)
      for code in labels.NATIVE_EXPRESSIONS[dataset]
  }
  assert found == EXPECTED[dataset]


def test_no_dataset_is_untested():
  assert labels.NATIVE_EXPRESSIONS.keys() == EXPECTED.keys()


def test_every_name_is_known():
  known = {*labels.EXPRESSIONS, 'Contempt'}
  dropped = {'None', 'Uncertain', 'No-Face', 'Unknown', 'NF'}
  for names in labels.NATIVE_EXPRESSIONS.values():
    assert set(names.values()) <= known | dropped
    assert len(set(names.values())) == len(names)


def test_an_unknown_code_is_not_a_missing_label():
  with pytest.raises(KeyError):
    labels.expression_id('raf_db', 0)
