"""A temporal model on a live stream: each frame gets its outputs at once."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from abaw_jax.core import errors
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import temporal_model
from abaw_jax.models.temporal import transformers, window_context


def is_exact(model: temporal_model.TemporalModel) -> bool:
  """Returns whether every split of a stream gives the same outputs."""
  attends = isinstance(model.encoder, transformers.TransformerEncoder)
  return model.encoder.causal and model.private is None and not attends


def check_causal(model: temporal_model.TemporalModel) -> None:
  """Raises an InputError if the outputs of a frame depend on later frames."""
  causal = model.encoder.causal
  if model.private is not None:
    causal = causal and model.private.keywords['causal']
  if not causal:
    raise errors.InputError(
        'config.model.causal=False: a stream needs a model that reads no later '
        'frames; train a model with causal=True, or an lstm or gru without '
        'private layers'
    )


def read(
    weights: PyTree[Array],
    carry: PyTree[Float[Array, 'b ...']],
    features: Float[Array, 'b t f'],
    frame_id: Int[Array, 'b t'],
    mask: Bool[Array, 'b t'] | None = None,
    window_length: Int[Array, 'b'] | None = None,
    *,
    model: temporal_model.TemporalModel,
) -> tuple[dict[str, Any], PyTree[Float[Array, 'b ...']]]:
  """Returns (a `labels.Output` per frame, carry) for new frames of b streams.

  If `is_exact(model)`, every split of the stream gives the same outputs. Attention
  reads only the frames of this call.

  `carry` is `model.initial_carry(b)` at the start of the streams, then the carry
  of the previous call. If outputs of a frame must not depend on later frames, the
  model must pass `check_causal`. `mask` is True on real frames, which come first;
  None means all. `window_length` is as in `WindowContext`.
  """
  if mask is None:
    mask = jnp.ones(features.shape[:2], bool)
  context = window_context.WindowContext(mask, frame_id, window_length)
  (output, carry), _ = variables.apply(
      model, weights, features, context, carry, train=False
  )
  return output, carry
