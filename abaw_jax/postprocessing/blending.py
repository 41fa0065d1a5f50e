"""One prediction from many: aligned rows, weighted means and votes."""

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors
from abaw_jax.scoring import predictions

_FLOOR = 1e-12  # of a probability before its logarithm
_GAIN = 1e-9  # a move must gain more than rounding
# Parts of the weight that the search moves from one member to another.
_STEPS = (0.25, 0.1, 0.05)
# How much the mean probability says where votes are equal.
_TIE = 1e-3

TASKS = ('va', 'expr', 'au')


def align(
    members: Sequence[predictions.Predictions], names: Sequence[str]
) -> list[predictions.Predictions]:
  """Returns the members with their rows in the order of the first.

  Rows are the same if video, frame and line of the list are.

  Raises:
    InputError: naming the first row that a member has not, has beside the others
      or labels otherwise.
  """
  first = members[0]
  wanted = predictions.keys(first)
  place = {key.item(): i for i, key in enumerate(wanted)}
  aligned = [first]
  for member, name in zip(members[1:], names[1:], strict=True):
    where = np.full(len(first), -1)
    for i, key in enumerate(predictions.keys(member)):
      at = place.get(key.item())
      if at is None:
        raise errors.InputError(
            f'{name}: {member.describe(i)} is not in {names[0]}; blend predictions '
            'of the same rows'
        )
      where[at] = i
    if (where < 0).any():
      at = int(np.argmax(where < 0))
      raise errors.InputError(
          f'{name}: {first.describe(at)} of {names[0]} is missing; blend '
          'predictions of the same rows'
      )
    member = member.take(where)
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

  Args:
    members: predictions of the same rows in the same order.
    weights: by task of TASKS; not negative, sum 1.
    expr: a key of EXPRESSIONS, how expressions are blended.
    au: a key of AUS.
  """
  return dataclasses.replace(
      members[0],
      valence=_mean(_stack(members, 'valence'), weights['va']),
      arousal=_mean(_stack(members, 'arousal'), weights['va']),
      expression=EXPRESSIONS[expr](
          _stack(members, 'expression'), weights['expr']
      ),
      au=AUS[au](_stack(members, 'au'), weights['au']),
  )


def search(
    score: Callable[[Float[np.ndarray, 'm']], float], count: int
) -> Float[np.ndarray, 'm']:
  """Returns weights with a large score, none negative, sum 1.

  From equal weights on, the best move of a part of the weight from one member to
  another is taken while there is one that gains; then smaller parts. The same
  score gives the same weights.
  """
  weights = np.full(count, 1 / count)
  best = score(weights)
  for step in _STEPS:
    while True:
      moves = [
          _moved(weights, giver, taker, step)
          for giver in range(count)
          for taker in range(count)
          if giver != taker and weights[giver] > _GAIN
      ]
      scores = [score(move) for move in moves]
      if not moves or max(scores) <= best + _GAIN:
        break
      at = int(np.argmax(scores))
      weights, best = moves[at], scores[at]
  return weights


def _moved(weights, giver: int, taker: int, step: float):
  part = min(step, weights[giver])
  moved = weights.copy()
  moved[giver] -= part
  moved[taker] += part
  return moved


def _stack(members, name: str) -> Float[np.ndarray, 'm n *k']:
  return np.stack([getattr(member, name) for member in members])


def _mean(
    values: Float[np.ndarray, 'm n *k'], weights: Float[np.ndarray, 'm']
) -> Float[np.ndarray, 'n *k']:
  return np.tensordot(weights, values, axes=1)


def _softmax_of_mean(values, weights):
  """Returns the softmax of the mean logits: the geometric mean, normalised."""
  logs = _mean(np.log(np.maximum(values, _FLOOR)), weights)
  powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
  return powers / powers.sum(axis=-1, keepdims=True)


def _sigmoid_of_mean(values, weights):
  """Returns the sigmoid of the mean logits."""
  present = np.log(np.maximum(values, _FLOOR))
  absent = np.log(np.maximum(1 - values, _FLOOR))
  return 1 / (1 + np.exp(-_mean(present - absent, weights)))


def _class_votes(values, weights):
  """Returns each class's share of votes; probabilities break ties."""
  votes = np.argmax(values, axis=-1)[..., None] == np.arange(values.shape[-1])
  return _mean((1 - _TIE) * votes + _TIE * values, weights)


def _presence_votes(values, weights):
  """Returns the share of votes for presence; probabilities break ties."""
  return _mean((1 - _TIE) * (values >= 0.5) + _TIE * values, weights)


# How expressions and AUs are blended, by name.
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
  for mask, *targets in (
      ('va', 'target_valence', 'target_arousal'),
      ('expr', 'target_expression'),
      ('au_mask', 'target_au'),
  ):
    usable = getattr(first, mask)
    same = usable == getattr(member, mask)
    for target in targets:
      a, b = getattr(first, target), getattr(member, target)
      same &= ~usable | np.isclose(a, b)
    same = same.reshape(len(first), -1).all(axis=-1)
    if not same.all():
      raise errors.InputError(
          f'{name}: {first.describe(int(np.argmin(same)))}: its {mask} label is not '
          f'that of {first_name}; predict both on the same release'
      )
