"""The networks of a bundle as pure functions with their weights inside."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt8

from abaw_jax.bundles import networks, parsing
from abaw_jax.core import errors
from abaw_jax.models.temporal import fft_encoder
from abaw_jax.steps import steps

# Largest difference of an output, relative to its largest value and at least to 1.
TOLERANCES = {'float32': 1e-4}
_LOW_PRECISION = 3e-2  # of the other compute dtypes


class Tensor(NamedTuple):
  """An input or output: name, dtype, shape with 'b' and 't' for dynamic sizes."""

  name: str
  dtype: str
  shape: tuple[int | str, ...]
  meaning: str


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Function:
  """A network from arrays to named arrays.

  Attributes:
    name: of its file, without suffix.
    call: maps one array per input to a dict of outputs.
    inputs: its inputs, in order.
    outputs: its outputs, ordered by name as JAX orders a dict.
    max_length: largest t; None means any.
    tolerance: largest difference of an output, see TOLERANCES.
    weight_bytes: size of its weights.
    facts: more facts for users, as JSON values.
  """

  name: str
  call: Callable[..., dict[str, Array]]
  inputs: tuple[Tensor, ...]
  outputs: tuple[Tensor, ...]
  max_length: int | None = None
  tolerance: float = TOLERANCES['float32']
  weight_bytes: int = 0
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def functions(bundle: parsing.Bundle, folder: Any) -> list[Function]:
  """Returns the frame network of a bundle, then its temporal models.

  Args:
    bundle: result of `storage.read_bundle`.
    folder: of the bundle, for messages.

  Raises:
    InputError: a model cannot have a dynamic length.
  """
  found = [_frame(bundle)]
  if bundle.is_temporal:
    for i, network in enumerate(bundle.networks):
      encoders = [model.encoder for model in network.models]
      if any(isinstance(x, fft_encoder.FFTEncoder) for x in encoders):
        raise errors.InputError(
            f'{folder}: temporal.{i} is an FFT encoder, and a Fourier transform '
            'has one fixed length; export a bundle with another temporal model, '
            'or without one'
        )
      found.append(_temporal(bundle, i))
  return found


def _frame(bundle: parsing.Bundle) -> Function:
  """Returns the function from faces to features and, without a temporal model,
  predictions.
  """
  frame = bundle.frame
  params = jax.tree.map(jnp.asarray, frame.params)
  heads = None if bundle.is_temporal else bundle.networks[0]

  def call(faces: UInt8[Array, 'b s s 3']) -> dict[str, Array]:
    features = steps.embed_step(
        params,
        faces,
        model=frame.model,
        augmentation=frame.augmentation,
        outputs=frame.outputs,
        crops=frame.crops,
    )
    output = {}
    if heads is not None:
      rows, _ = heads.read(params, {}, features[:, None], None, None, None)
      output = {name: x[:, 0] for name, x in _chosen(bundle, rows).items()}
    return output | {'features': features}

  size = frame.decoding['image_size']
  outputs = [] if heads is None else _predictions(bundle, ('b',))
  shape = ('b', bundle.feature_dim)
  outputs.append(Tensor('features', 'float32', shape, 'embedding of the face'))
  return Function(
      name='frame',
      call=call,
      inputs=(
          Tensor(
              'faces',
              'uint8',
              ('b', size, size, 3),
              'aligned RGB faces, values 0..255; resized and normalised inside',
          ),
      ),
      outputs=_by_name(outputs),
      tolerance=_tolerance(bundle.config['frame']['model']),
      weight_bytes=_bytes(params),
  )


def _temporal(bundle: parsing.Bundle, index: int) -> Function:
  """Returns the function from windows of features to predictions."""
  network: networks.Temporal = bundle.networks[index]
  # A dynamic length cannot slice a NumPy array.
  params = jax.tree.map(jnp.asarray, network.params)
  carried = network.sequential
  state = jax.eval_shape(lambda: network.initial_carry(1))
  leaves, treedef = jax.tree.flatten(state)
  carry = [
      Tensor(
          f'carry{i}',
          'float32',
          ('b', *x.shape[1:]),
          'state after the window before; zeros at the start of a clip',
      )
      for i, x in enumerate(leaves if carried else ())
  ]

  def call(features, frame_id, mask, window_length, *before):
    if carried:
      state = jax.tree.unflatten(treedef, before)
    else:
      size = features.shape[0]
      zeros = [jnp.zeros((size, *x.shape[1:]), x.dtype) for x in leaves]
      state = jax.tree.unflatten(treedef, zeros)
    rows, after = network.read(
        params, state, features, frame_id, mask, window_length
    )
    after = jax.tree.leaves(after) if carried else []
    return _chosen(bundle, rows) | {
        tensor.name: x for tensor, x in zip(carry, after, strict=True)
    }

  return Function(
      name=f'temporal{index}',
      call=call,
      inputs=(
          Tensor(
              'features',
              'float32',
              ('b', 't', bundle.feature_dim),
              'features of consecutive frames of one face',
          ),
          Tensor('frame_id', 'int32', ('b', 't'), 'frame numbers in the clip'),
          Tensor(
              'mask',
              'bool',
              ('b', 't'),
              'true on real frames, which come first',
          ),
          Tensor(
              'window_length',
              'int32',
              ('b',),
              'frames of each window, without padding of the batch',
          ),
          *carry,
      ),
      outputs=_by_name([*_predictions(bundle, ('b', 't')), *carry]),
      max_length=_max_length(network.models),
      tolerance=_tolerance(bundle.config['temporal'][index]['model']),
      weight_bytes=_bytes(params),
      facts={
          'window': network.window,
          'carry': [list(tensor.shape[1:]) for tensor in carry],
      },
  )


def _max_length(models) -> int | None:
  """Returns the length of the shortest table of learned positions, if any."""
  found = [model.encoder for model in models]
  for model in models:
    if model.private is not None:
      found.append(model.private(dim=1, num_heads=1))
  lengths = [
      encoder.max_length
      for encoder in found
      if getattr(encoder, 'positions', '') == 'learned'
  ]
  return min(lengths, default=None)


def _tolerance(section) -> float:
  return TOLERANCES.get(section.get('dtype', 'float32'), _LOW_PRECISION)


def _bytes(params) -> int:
  return sum(x.nbytes for x in jax.tree.leaves(params))


def _chosen(bundle, rows) -> dict[str, Array]:
  """Returns the outputs, expressions and AUs that a bundle predicts."""
  columns = parsing.columns(bundle.expressions, bundle.au_names)
  return {
      name: rows[name][..., jnp.array(columns[name])]
      if name in columns
      else rows[name]
      for name in bundle.outputs
  }


def _predictions(bundle: parsing.Bundle, axes: tuple[str, ...]) -> list[Tensor]:
  tensors = {
      'valence': ((), 'valence, about -1..1'),
      'arousal': ((), 'arousal, about -1..1'),
      'expression': (
          (len(bundle.expressions),),
          'probabilities of labels.expressions, before calibration',
      ),
      'au': (
          (len(bundle.au_names),),
          'probabilities of labels.aus, before calibration',
      ),
  }
  return [
      Tensor(name, 'float32', axes + tensors[name][0], tensors[name][1])
      for name in bundle.outputs
  ]


def _by_name(tensors: list[Tensor]) -> tuple[Tensor, ...]:
  return tuple(sorted(tensors))
