"""Parameters of ours <-> tensors of another project, strictly."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from abaw_jax.core import errors

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, np.ndarray]


class Rule(NamedTuple):
  """How one parameter of ours stands in another project's state dict."""

  name: str  # there
  to_ours: Callable[[np.ndarray], np.ndarray]
  to_theirs: Callable[[np.ndarray], np.ndarray]


def without_counters(tensors: Tensors, where: str) -> dict[str, np.ndarray]:
  """Returns a state dict without what counts the updates of its statistics.

  Nothing that we compute depends on `num_batches_tracked`, and PyTorch loads,
  strictly too, a state dict that never had it.
  """
  del where
  end = 'num_batches_tracked'
  return {name: x for name, x in tensors.items() if not name.endswith(end)}


class Layout(NamedTuple):
  """How another project names and shapes the parameters of a model.

  Attributes:
    source: the project, for messages.
    marks: names that only its state dicts have.
    describe: maps shapes by name, and the file to name in messages, to the
      `model` section of a config, but for what no shape tells.
    rule_of: maps a parameter path of ours and the `model` section to its rule;
      the path of a running statistic begins with `batch_stats/`.
    mean: RGB mean that its images are normalised by, on the scale [0, 1].
    std: RGB deviation, likewise.
    resize: filter that its images are resized with.
    licence: what a user of its weights must know.
    tidy: maps a state dict, and the file to name in messages, to one with the
      present names, and without what is no weight of ours.
    complete: makes a state dict of ours one that the project's code takes.
    labels: what the outputs of its classifiers stand for, by their number.
  """

  source: str
  marks: frozenset[str]
  describe: Callable[[Shapes, str], dict[str, Any]]
  rule_of: Callable[[str, Mapping[str, Any]], Rule]
  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  resize: str
  licence: str
  tidy: Callable[[Tensors, str], dict[str, np.ndarray]] = without_counters
  complete: Callable[[Tensors], dict[str, np.ndarray]] = dict
  labels: Mapping[int, tuple[str, ...]] = {}


def to_ours(
    tensors: Mapping[str, np.ndarray],
    shapes: Shapes,
    rules: Mapping[str, Rule],
    where: str,
) -> dict[str, np.ndarray]:
  """Returns our float32 parameters by path.

  Args:
    tensors: a state dict.
    shapes: shape of every parameter wanted, by path.
    rules: rule of every parameter wanted, by path.
    where: file to name in messages.

  Raises:
    InputError: if a tensor is missing, left over or misshapen; lists all.
  """
  wanted = {
      rules[path].name: _their_shape(rules[path], shape)
      for path, shape in shapes.items()
  }
  wrong = [f'missing {name}' for name in sorted(wanted.keys() - tensors.keys())]
  wrong += [f'extra {name}' for name in sorted(tensors.keys() - wanted.keys())]
  wrong += [
      f'{name} is {tensors[name].shape}, the model wants {wanted[name]}'
      for name in sorted(wanted.keys() & tensors.keys())
      if tensors[name].shape != wanted[name]
  ]
  if wrong:
    raise errors.InputError(
        f'{where}: does not fit the model that its shapes speak of: '
        f'{"; ".join(wrong)}; convert a whole checkpoint of that architecture'
    )
  return {
      path: np.ascontiguousarray(
          rules[path].to_ours(tensors[rules[path].name]), np.float32
      )
      for path in shapes
  }


def to_theirs(
    params: Mapping[str, np.ndarray], rules: Mapping[str, Rule]
) -> dict[str, np.ndarray]:
  """Returns a state dict of our parameters by path; undoes `to_ours`."""
  return {
      rules[path].name: rules[path].to_theirs(value)
      for path, value in params.items()
  }


def _their_shape(rule: Rule, shape: tuple[int, ...]) -> tuple[int, ...]:
  # A broadcast zero has a shape and takes no memory.
  return rule.to_theirs(np.broadcast_to(np.float32(0), shape)).shape
