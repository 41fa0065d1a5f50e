"""A temporal model on a live stream: what is known as soon as a frame is there."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from abaw_jax.core import errors
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import frameworks


def check_causal(model: frameworks.TemporalModel) -> None:
  """Raises an InputError if a frame's outputs depend on later frames."""
  causal = model.encoder.causal
  if model.private is not None:
    causal = causal and model.private.keywords['causal']
  if not causal:
    raise errors.InputError(
        'config.model.causal=False: a stream needs a model that reads no later '
        'frames; train one with causal=True, or an lstm or gru without private '
        'layers'
    )


def read(
    weights: PyTree[Array],
    carry: PyTree[Float[Array, 'b ...']],
    features: Float[Array, 'b t f'],
    frame_id: Int[Array, 'b t'],
    *,
    model: frameworks.TemporalModel,
) -> tuple[dict[str, Any], PyTree[Float[Array, 'b ...']]]:
  """Returns (a `labels.Output` per frame, carry) of the next frames of b streams.

  A recurrent model gives the same however the stream is cut; what attention sees
  begins with the frames that are given.

  Args:
    weights: as `variables.init` returns them.
    carry: `model.initial_carry(b)` at the start of the streams, then what came
      with the frames before.
    features: one vector per frame.
    frame_id: true frame numbers.
    model: passes `check_causal`.
  """
  mask = jnp.ones(features.shape[:2], bool)
  (output, carry), _ = variables.apply(
      model, weights, features, mask, carry, train=False, frame_id=frame_id
  )
  return output, carry
