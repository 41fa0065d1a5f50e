"""Bicubic resampling against PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from abaw_jax.conversion import bicubic


@pytest.mark.parametrize(
    ('old', 'new'),
    [(14, 7), (14, 28), (14, 9), (7, 10), (3, 5), (1, 4), (6, 1)],
)
def test_it_equals_the_interpolation_of_torch(old, new):
  grid = np.random.default_rng(0).standard_normal((old, old, 6), np.float32)
  expected = functional.interpolate(
      torch.tensor(grid.transpose(2, 0, 1))[None],
      size=(new, new),
      mode='bicubic',
      align_corners=False,
  )
  # PyTorch computes positions in float32.
  np.testing.assert_allclose(
      bicubic.resize(grid, size=new),
      expected[0].permute(1, 2, 0).numpy(),
      atol=1e-5,
  )


def test_the_same_size_changes_nothing():
  grid = np.random.default_rng(0).standard_normal((5, 5, 2), np.float32)
  np.testing.assert_array_equal(bicubic.resize(grid, size=5), grid)
