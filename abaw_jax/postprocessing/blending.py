"""Ensembles: rows of several models, aligned and blended."""

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, fingerprint
from abaw_jax.scoring import predictions

FLOOR = 1e-12  # of a probability before its logarithm
GAIN = 1e-9  # an improvement must be more than a rounding error
# Amounts of weight that the search moves from one member to another.
_STEPS = (0.25, 0.1, 0.05)
# Share of the mean probability in the score of a vote; it breaks ties.
_TIE = 1e-3

TASKS = ('va', 'expr', 'au')


def align(
    members: Sequence[predictions.Predictions],
    names: Sequence[str],
    *,
    same_labels: bool = True,
) -> list[predictions.Predictions]:
  """Returns the members with their rows in the order of the first.

  Two rows are the same if their video, frame and line of the list are.

  Args:
    members: predictions of the same rows.
    names: of the members, for messages.
    same_labels: whether all members must have the same labels.

  Raises:
    InputError: names the first row that a member lacks, that only this member
      has, or that has another label; or members are predictions of other data.
  """
  predictions.check_same_data(members, names)
  first = members[0]
  wanted = predictions.keys(first)
  positions = {key.item(): i for i, key in enumerate(wanted)}
  aligned = [first]
  for member, name in zip(members[1:], names[1:], strict=True):
    order = np.full(len(first), -1)
    for i, key in enumerate(predictions.keys(member)):
      at = positions.get(key.item())
      if at is None:
        raise errors.InputError(
            f'{name}: {member.describe(i)} is not in {names[0]}; blend predictions '
            'of the same rows'
        )
      order[at] = i
    if (order < 0).any():
      at = int(np.argmax(order < 0))
      raise errors.InputError(
          f'{name}: {first.describe(at)} of {names[0]} is missing; blend '
          'predictions of the same rows'
      )
    member = member.take(order)
    if same_labels:
      _check_labels(first, member, names[0], name)
    aligned.append(member)
  return aligned


def blend(
    members: Sequence[predictions.Predictions],
    weights: dict[str, Float[np.ndarray, 'm']],
    *,
    expr: str = 'logits',
    au: str = 'logits',
) -> predictions.Predictions:
  """Returns the weighted blend of aligned members.

  Weights are by task of TASKS, not negative, and sum to 1. A member that does not
  predict a task has no weight in it. The methods `expr` and `au` are keys of
  EXPRESSIONS and AUS.
  """
  va_members, va = _predicting(members, 'va', weights)
  au_members, present = _predicting(members, 'au', weights)
  return dataclasses.replace(
      members[0],
      data=fingerprint.merged(*(member.data for member in members)),
      valence=_mean(_stack(va_members, 'valence'), va),
      arousal=_mean(_stack(va_members, 'arousal'), va),
      expression=EXPRESSIONS[expr](
          _stack(members, 'expression'), weights['expr']
      ),
      au=AUS[au](_stack(au_members, 'au'), present),
  )


def search(
    score: Callable[[Float[np.ndarray, 'm']], float], count: int
) -> Float[np.ndarray, 'm']:
  """Returns weights with a high score; not negative, sum 1.

  A greedy search that starts from equal weights. Each step moves the amount of
  weight from one member to another that gains most. If no move gains, the amount
  becomes smaller. The result is deterministic.
  """
  weights = np.full(count, 1 / count)
  best = score(weights)
  for step in _STEPS:
    while True:
      moves = [
          _moved(weights, giver, taker, step)
          for giver in range(count)
          for taker in range(count)
          if giver != taker and weights[giver] > GAIN
      ]
      scores = [score(move) for move in moves]
      if not moves or max(scores) <= best + GAIN:
        break
      at = int(np.argmax(scores))
      weights, best = moves[at], scores[at]
  return weights


def _moved(weights, giver: int, taker: int, step: float):
  """Returns weights with `step` moved from one member to another."""
  part = min(step, weights[giver])
  moved = weights.copy()
  moved[giver] -= part
  moved[taker] += part
  return moved


def _predicting(members, task: str, weights):
  """Returns the members that predict a task, all if none does, and their weights."""
  found = np.array([member.predicts(task) for member in members])
  if not found.any():
    found[:] = True  # the blend is NaN, too
  used = weights[task][found]
  if not used.sum():
    used = np.ones(len(used))
  chosen = [m for m, ok in zip(members, found, strict=True) if ok]
  return chosen, weights[task] if found.all() else used / used.sum()


def _stack(members, name: str) -> Float[np.ndarray, 'm n *k']:
  return np.stack([getattr(member, name) for member in members])


def _mean(
    values: Float[np.ndarray, 'm n *k'], weights: Float[np.ndarray, 'm']
) -> Float[np.ndarray, 'n *k']:
  return np.tensordot(weights, values, axes=1)


def _softmax_of_mean(values, weights):
  """Returns the softmax of the mean logits, a normalised geometric mean."""
  logs = _mean(np.log(np.maximum(values, FLOOR)), weights)
  powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
  return powers / powers.sum(axis=-1, keepdims=True)


def _sigmoid_of_mean(values, weights):
  """Returns the sigmoid of the mean logits."""
  present = np.log(np.maximum(values, FLOOR))
  absent = np.log(np.maximum(1 - values, FLOOR))
  return 1 / (1 + np.exp(-_mean(present - absent, weights)))


def _class_votes(values, weights):
  """Returns the share of votes for each class; probabilities break ties."""
  votes = np.argmax(values, axis=-1)[..., None] == np.arange(values.shape[-1])
  return _mean((1 - _TIE) * votes + _TIE * values, weights)


def _presence_votes(values, weights):
  """Returns the share of votes for presence; probabilities break ties."""
  return _mean((1 - _TIE) * (values >= 0.5) + _TIE * values, weights)


# Methods to blend expressions and AUs, by name.
EXPRESSIONS = {
    'logits': _softmax_of_mean,
    'probabilities': _mean,
    'votes': _class_votes,
}
AUS = {
    'logits': _sigmoid_of_mean,
    'probabilities': _mean,
    'votes': _presence_votes,
}


def _check_labels(first, member, first_name: str, name: str) -> None:
  """Raises an InputError at the first row whose labels differ."""
  for field, schema in predictions.SCHEMA.items():
    mask = schema.mask
    if mask is None:
      continue
    usable = getattr(first, mask)
    same = usable == getattr(member, mask)
    same &= ~usable | np.isclose(getattr(first, field), getattr(member, field))
    same = same.reshape(len(first), -1).all(axis=-1)
    if not same.all():
      raise errors.InputError(
          f'{name}: {first.describe(int(np.argmin(same)))}: its {mask} label differs '
          f'from {first_name}; predict both on the same release'
      )
