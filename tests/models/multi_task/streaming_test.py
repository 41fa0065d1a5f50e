"""A live stream gives the same outputs as the full video."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.models.multi_task import heads, streaming
from tests.models import temporal_models

SHARED = {'framework': 'share_encoder', 'private_layers': 0}


def stream(model, cuts):
  """Returns the outputs of two streams that arrive in parts."""
  streaming.check_causal(model)
  x = temporal_models.features(rows=2)
  ids = jnp.cumsum(jnp.full(x.shape[:2], 3), axis=1)
  params = temporal_models.weights(model)
  weights = params.pop('params') | params
  read = jax.jit(functools.partial(streaming.read, model=model))
  carry, parts = model.initial_carry(2), []
  for begin, end in itertools.pairwise(cuts):
    output, carry = read(weights, carry, x[:, begin:end], ids[:, begin:end])
    parts.append(output)
  return {
      task: np.concatenate([part[task] for part in parts], axis=1)
      for task in heads.TASK_DIMS
  }


@pytest.mark.parametrize('encoder', ['lstm', 'gru', 'tcn'])
def test_frame_by_frame_equals_the_full_video(encoder):
  model = temporal_models.make(encoder=encoder, depth=2, causal=True, **SHARED)
  full = stream(model, (0, temporal_models.LENGTH))
  for cuts in (range(temporal_models.LENGTH + 1), (0, 3, 7)):
    parts = stream(model, tuple(cuts))
    for task in heads.TASK_DIMS:
      np.testing.assert_allclose(parts[task], full[task], atol=1e-6)


def test_a_causal_transformer_reads_window_by_window():
  model = temporal_models.make(causal=True)
  full = stream(model, (0, temporal_models.LENGTH))
  parts = stream(model, (0, 4, temporal_models.LENGTH))
  for task in heads.TASK_DIMS:
    # Outputs of the first window do not depend on later frames.
    np.testing.assert_allclose(parts[task][:, :4], full[task][:, :4], atol=1e-5)


@pytest.mark.parametrize(
    'options',
    [{'encoder': 'bilstm', **SHARED}, {'encoder': 'fft', **SHARED}, SHARED,
     {'encoder': 'tcn', **SHARED},
     {'encoder': 'gru'}],
)  # fmt: skip
def test_a_model_that_reads_later_frames_cannot_stream(options):
  with pytest.raises(errors.InputError, match='reads no later frames'):
    streaming.check_causal(temporal_models.make(**options))
