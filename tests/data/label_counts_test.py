"""Label counts against NumPy on the columns of all rows."""

import numpy as np
import pytest
from scipy import ndimage

from abaw_jax.data import label_counts, sources
from tests.data import corpora


def test_counts_are_those_of_usable_labels(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  rows = {
      k: np.concatenate([video[k] for video in corpora.Toy.videos.values()])
      for k in label_counts.FIELDS
  }
  expected = np.bincount(rows['expression'][rows['expr']], minlength=8)
  corpora.build_toy(tmp_path, 'sequences')
  for config in ('frames', 'sequences'):
    records = sources.Records(tmp_path, 'toy', config, 'train')
    counts = label_counts.LabelCounts.of(
        records.with_fields(*label_counts.FIELDS)
    )
    np.testing.assert_array_equal(counts.expression, expected)
    np.testing.assert_array_equal(counts.au_known, rows['au_mask'].sum(0))
    assert counts.va == rows['va'].sum()
    for name, bins in counts.bins.items():
      inside = np.histogram(rows[name][rows['va']], 40, (-1, 1))[0]
      np.testing.assert_array_equal(bins, inside)
    np.testing.assert_array_equal(
        counts.au_present, (rows['au'] * rows['au_mask']).sum(0)
    )


def test_weighted_counts_are_balanced():
  counts = label_counts.LabelCounts(
      np.array([6, 3, 0, 1, 2, 0, 6, 4]),
      np.arange(12),
      np.array([0, *[24] * 10, 11]),
  )
  weights = counts.class_weights()
  np.testing.assert_allclose(
      weights * counts.expression, [6, 6, 0, 6, 6, 0, 6, 6]
  )
  positive, negative = counts.au_weights()
  absent = counts.au_known - counts.au_present
  known = slice(1, 11)
  np.testing.assert_allclose((positive * counts.au_present)[known], 12)
  np.testing.assert_allclose((negative * absent)[known], 12)
  assert np.isfinite([positive, negative]).all()
  np.testing.assert_allclose(
      counts.expression_shares()[counts.expression > 0],
      np.array([6, 3, 1, 2, 6, 4]) / 22,
  )


@pytest.mark.parametrize(
    ('kind', 'power'), [('inverse', 1), ('sqrt_inverse', 0.5)]
)
def test_density_weights_equal_a_smoothed_histogram(kind, power):
  values = np.random.default_rng(0).normal(0.2, 0.3, 500).clip(-1, 1)
  bins = np.bincount(label_counts.va_bin(values), minlength=40)
  counts = label_counts.LabelCounts(
      np.zeros(8, int), *np.zeros((2, 12), int), bins={'valence': bins}
  )
  found = counts.va_weights(kind, 0.1)['valence']
  density = ndimage.gaussian_filter1d(
      np.float64(bins), 2, mode='constant', truncate=20
  )
  expected = density**-power
  expected *= 500 / (bins @ expected)
  np.testing.assert_allclose(found[bins > 0], expected[bins > 0], rtol=1e-6)
  assert np.isfinite(found).all()
