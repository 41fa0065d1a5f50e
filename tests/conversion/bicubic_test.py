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


def test_the_shift_of_dinov2_is_a_scale_of_torch():
  grid = np.random.default_rng(0).standard_normal((37, 37, 2), np.float32)
  expected = functional.interpolate(
      torch.tensor(grid.transpose(2, 0, 1))[None],
      scale_factor=(16.1 / 37, 16.1 / 37),
      mode='bicubic',
  )
  np.testing.assert_allclose(
      bicubic.resize(grid, size=16, offset=0.1),
      expected[0].permute(1, 2, 0).numpy(),
      atol=1e-4,
  )


def test_the_same_size_changes_nothing():
  grid = np.random.default_rng(0).standard_normal((5, 5, 2), np.float32)
  np.testing.assert_array_equal(bicubic.resize(grid, size=5), grid)
