"""Networks of a bundle, from the features of consecutive frames to predictions."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from abaw_jax.bundles import plans
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import heads, streaming, temporal_model
from abaw_jax.models.temporal import window_context
from abaw_jax.tasks import classifier, multi_task

Output = dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Network(abc.ABC):
  """A network with its weights.

  Attributes:
    params: its weights, nested by name.
    expressions: ids of the expressions that it can predict.
  """

  params: PyTree
  expressions: tuple[int, ...]

  # Whether windows of a track are read one after the other, because each one
  # needs the state after the window before.
  sequential = False

  @abc.abstractmethod
  def plan(self, *, live: bool) -> plans.Plan:
    """Returns the plan of a new track; live, each frame gets its outputs at once."""

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns the state before the first window of a track."""
    del batch_size
    return {}

  @abc.abstractmethod
  def read(
      self,
      params: PyTree[Array],
      carry: PyTree[Float[Array, 'b ...']],
      features: Float[Array, 'b t d'],
      frame_id: Int[Array, 'b t'],
      mask: Bool[Array, 'b t'],
      window_length: Int[Array, 'b'],
  ) -> tuple[Output, PyTree[Float[Array, 'b ...']]]:
    """Returns (valence, arousal and probabilities of every frame, carry); for jit."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Heads(Network):
  """The linear heads of a frame model, or of a classifier.

  Attributes:
    classes: names of a classifier's outputs; None for a frame model.
  """

  classes: tuple[str, ...] | None = None

  def plan(self, *, live: bool) -> plans.Plan:
    del live
    return plans.Chunks()

  def read(self, params, carry, features, frame_id, mask, window_length):
    del frame_id, mask, window_length
    rows = features.reshape(-1, features.shape[-1])
    if self.classes:
      output = classifier.label_output(
          _linear(params['head'], rows), self.classes
      )
    else:
      output = {
          task: _linear(params['heads'][task]['out'], rows)
          for task in heads.TASK_DIMS
      }
      for task in ('valence', 'arousal'):
        output[task] = output[task][:, 0]
    output = multi_task.probabilities(output, self.expressions)
    shape = features.shape[:2]
    return {
        k: x.reshape(*shape, *x.shape[1:]) for k, x in output.items()
    }, carry


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Temporal(Network):
  """A temporal model.

  A recurrent model that was trained with a carried state keeps it over a track, and
  a model without an encoder needs none: then every frame gets its outputs at once.
  The others read windows.

  Attributes:
    model: the model.
    window: frames of a window in training.
    stride: distance of two windows; see `plans.Windows`.
    carried: whether the state goes from window to window, as in training.
    below: models that read the same windows first; `model` reads their hidden
      states.
    keep_features: whether it also reads the features, before the hidden states.
  """

  model: temporal_model.TemporalModel
  window: int
  stride: int
  carried: bool
  below: tuple[temporal_model.TemporalModel, ...] = ()
  keep_features: bool = True

  @property
  def models(self) -> tuple[temporal_model.TemporalModel, ...]:
    """All models; `model` is the first one."""
    return (self.model, *self.below)

  @functools.cached_property
  def is_exact(self) -> bool:
    """Whether every split of a track gives the same outputs."""
    state = jax.tree.leaves(self.initial_carry(1))
    exact = all(map(streaming.is_exact, self.models))
    return exact and (self.carried or not state)

  @functools.cached_property
  def sequential(self) -> bool:
    return self.carried and bool(jax.tree.leaves(self.initial_carry(1)))

  def plan(self, *, live: bool) -> plans.Plan:
    if self.is_exact:
      return plans.Chunks()
    if live:
      return plans.Sliding(self.window)
    # A state that is carried belongs to the end of a window.
    stride = self.window if self.sequential else self.stride
    return plans.Windows(self.window, stride)

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    return tuple(model.initial_carry(batch_size) for model in self.models)

  def read(self, params, carry, features, frame_id, mask, window_length):
    first, *states = carry
    params = dict(params)
    parts = [features] if self.keep_features else []
    for i, model in enumerate(self.below):
      output, states[i] = streaming.read(
          params.pop(below_name(i)),
          states[i],
          features,
          frame_id,
          mask,
          window_length,
          model=model,
      )
      parts += [output['hidden'][task] for task in model.tasks]
    if self.below:
      joined = jnp.concatenate(parts, axis=-1, dtype=features.dtype)
      features = jnp.where(mask[..., None], joined, 0.0)
    output, first = streaming.read(
        params,
        first,
        features,
        frame_id,
        mask,
        window_length,
        model=self.model,
    )
    output = multi_task.probabilities(output, self.expressions)
    return output, (first, *states)


def make_temporal(
    section: Mapping[str, Any],
    *,
    params: PyTree,
    expressions: tuple[int, ...],
    stride: int,
) -> Temporal:
  """Returns the temporal model of a section `temporal` of a bundle's config."""
  return Temporal(
      params=params,
      expressions=expressions,
      model=zoo.make_model(**section['model']),
      window=section['window'],
      stride=stride,
      carried=section['carried'],
      below=tuple(zoo.make_model(**x) for x in section.get('below', ())),
      keep_features=section.get('keep_features', True),
  )


def below_name(index: int) -> str:
  """Returns the name of a model below among the weights of a temporal model."""
  return f'below{index}'


def section_shapes(
    section: Mapping[str, Any],
) -> PyTree[jax.ShapeDtypeStruct]:
  """Returns the shapes of the weights of a section, see `make_temporal`."""
  width, below = section['feature_dim'], {}
  dim = width if section.get('keep_features', True) else 0
  for i, model in enumerate(section.get('below', ())):
    found = below[below_name(i)] = temporal_shapes(model, width)
    tasks = zoo.make_model(**model).tasks
    dim += sum(found[task]['head']['out']['kernel'].shape[0] for task in tasks)
  return temporal_shapes(section['model'], dim) | below


def temporal_shapes(
    section: Mapping[str, Any], feature_dim: int
) -> PyTree[jax.ShapeDtypeStruct]:
  """Returns the shapes of the weights of a temporal model.

  Args:
    section: section `model` of its config.
    feature_dim: width of its features.
  """
  model = zoo.make_model(**section)

  def init(key, features, mask, frame_id):
    context = window_context.WindowContext(mask, frame_id)
    return variables.init(model, key, features, context, model.initial_carry(1))

  return jax.eval_shape(
      init,
      jax.random.key(0),
      jnp.zeros((1, 1, feature_dim)),
      jnp.ones((1, 1), bool),
      jnp.zeros((1, 1), jnp.int32),
  )


def possible_expressions(
    classes: Sequence[str] | None, scored: Sequence[int]
) -> tuple[int, ...]:
  """Returns the ids of `scored` expressions for which there is an output."""
  if classes is None:
    return tuple(scored)
  names = multi_task.labels.EXPRESSIONS
  return tuple(i for i in scored if names[i] in classes)


def _linear(
    params: Mapping[str, Array], x: Float[Array, 'n d']
) -> Float[Array, 'n k']:
  return x @ params['kernel'] + params['bias'][None]
