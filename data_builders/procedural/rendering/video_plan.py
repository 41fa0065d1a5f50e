"""Plans the videos of a corpus: names, lengths, emotions, missing labels.

The plan sets the statistics of each split (class priors, rates of missing labels,
one identity per video) before rendering starts.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.data_builders.procedural.rendering import emotion, scene

VIDEOS = {'train': 257, 'validation': 50, 'test': 82}  # s-Aff-Wild2
REPEATED = {
    'train': 951 / 142382,
    'validation': 210 / 26876,
    'test': 718 / 51159,
}
UNLABELLED = 49 / 142382  # rows of train without any label

# Share of each expression among the labelled rows (id 0 to 7).
_SHIFTED = (0.12, 0.03, 0.04, 0.08, 0.24, 0.12, 0.06, 0.30)
PRIORS = {
    'train': (0.26, 0.05, 0.03, 0.03, 0.20, 0.08, 0.06, 0.27),
    'validation': _SHIFTED,
    'test': _SHIFTED,
}
# Share of each expression among the images of the LSD challenge: generated faces
# of train, real faces of validation. Neutral and Other are absent.
LSD_PRIORS = {
    'synthetic': (0, 0.066, 0.055, 0.039, 0.264, 0.522, 0.054, 0),
    'photo': (0, 0.172, 0.054, 0.112, 0.367, 0.166, 0.129, 0),
}
# Generated faces show few people: videos per person.
_CAST = {'photo': 1, 'synthetic': 4}

# (VA, expression, AU labelled) -> fraction of the rows. In train, 73 % of the rows
# have VA, 64 % an expression, 73 % AUs, and 37 % have all three.
LABELLED = {
    'train': {
        (True, True, True): 0.37,
        (True, False, True): 0.14,
        (False, True, True): 0.11,
        (True, True, False): 0.11,
        (False, False, True): 0.11,
        (True, False, False): 0.11,
        (False, True, False): 0.05,
    },
    'validation': {(True, True, True): 0.57, (True, False, True): 0.43},
    'test': {(True, True, True): 1.0},
}

MEAN_GAP = 6  # frames between two annotated frames
SEGMENT = 80  # mean length of an emotion in frames


@dataclasses.dataclass(frozen=True)
class Segment:
  """A part of a video with one emotion and one set of labels."""

  expression: int  # index into labels.EXPRESSIONS
  variant: int  # index into emotion.VARIANTS
  labelled: tuple[bool, bool, bool]  # VA, expression, AU


@dataclasses.dataclass(frozen=True)
class Video:
  """The plan of one video; `person`, `key` and `place` seed its generators."""

  name: str
  split: str
  domain: str  # one of scene.DOMAINS
  person: tuple[int, ...]  # the same for all videos of a person
  key: tuple[int, ...]  # (seed, split and domain, position), for emotions
  place: tuple[int, ...]  # for the scene; two subjects of a video share it
  frames: int
  repeated: int  # rows that the list has twice
  unlabelled: int  # rows without any label, at the start
  segments: tuple[Segment, ...]


def split_sizes(videos: int) -> dict[str, int]:
  """Returns the number of videos per split, in the ratio 257:50:82.

  Raises:
    InputError: there are fewer than 3 videos.
  """
  if videos < len(VIDEOS):
    raise errors.InputError(
        f'--videos={videos} leaves a split without videos; give at least 3'
    )
  total = sum(VIDEOS.values())
  validation = max(1, round(videos * VIDEOS['validation'] / total))
  test = max(1, round(videos * VIDEOS['test'] / total))
  train = videos - validation - test
  return {'train': train, 'validation': validation, 'test': test}


def in_domain(domain: str) -> dict[str, str]:
  """Returns the same domain for every split."""
  return dict.fromkeys(VIDEOS, domain)


def _quota(shares: np.ndarray, total: int) -> np.ndarray:
  """Returns integers in the ratio of `shares`, with the sum `total`."""
  exact = np.asarray(shares) / np.sum(shares) * total
  counts = np.floor(exact).astype(int)
  left = np.argsort(counts - exact, kind='stable')[: total - counts.sum()]
  counts[left] += 1
  return counts


def deck(
    split: str, priors: tuple[float, ...], total: int, rng: np.random.Generator
) -> list[Segment]:
  """Returns the shuffled segments of a split with the planned class priors."""
  counts = _quota(np.array(priors), total)
  if total >= np.count_nonzero(priors):
    for missing in np.flatnonzero((counts == 0) & (np.array(priors) > 0)):
      counts[missing] += 1
      counts[counts.argmax()] -= 1
  patterns = list(LABELLED[split])
  edges = np.cumsum(list(LABELLED[split].values()))
  deck, step = [], 0
  for expression, count in enumerate(counts.tolist()):
    shares = [v[0] for v in emotion.VARIANTS[labels.EXPRESSIONS[expression]]]
    variants = np.repeat(
        np.arange(len(shares)), _quota(np.array(shares), count)
    )
    for position, variant in enumerate(rng.permutation(variants).tolist()):
      # Multiples of the golden ratio cover [0, 1) evenly. The first segment of a
      # class has all labels, so that a small split has labels of every class.
      u = 0.0 if position == 0 else (step * 0.618034) % 1.0
      step += 1
      pattern = patterns[int(np.searchsorted(edges[:-1], u, side='right'))]
      deck.append(Segment(expression, variant, pattern))
  return [deck[i] for i in rng.permutation(len(deck))]


def _name(position: int, number: int) -> str:
  return (
      f'{number}',
      f'video{number}',
      f'video{number}_1',
      f'video{number}_left',
      f'video{number}_right',
  )[position % 5]


def make(
    videos: int,
    frames: int,
    seed: int,
    *,
    domains: Mapping[str, str] | None = None,
    basic: bool = False,
) -> list[Video]:
  """Returns the videos of a corpus in the order of its lists.

  No person is in two splits or in two domains.

  Args:
    videos: number of videos in all splits.
    frames: mean number of annotated frames per video.
    seed: random seed.
    domains: domain of each split; None means photos.
    basic: whether all faces show one of the six basic expressions, with the class
      priors of the LSD challenge. Synthetic faces always do.

  Raises:
    InputError: a number is too small.
  """
  if frames < 4:
    raise errors.InputError(f'--frames={frames} is too short; give at least 4')
  numbers = np.random.default_rng([seed, 0]).permutation(max(594, 2 * videos))
  plan = []
  for s, (split, size) in enumerate(split_sizes(videos).items()):
    rng = np.random.default_rng([seed, 1 + s])
    domain = (domains or in_domain('photo'))[split]
    group = s + len(VIDEOS) * scene.DOMAINS.index(domain)
    real = domain == 'photo' and not basic
    priors = PRIORS[split] if real else LSD_PRIORS[domain]
    people = -(-size // _CAST[domain])
    lengths = np.rint(frames * rng.uniform(0.6, 1.4, size)).astype(int)
    segments = np.maximum(np.rint(lengths * MEAN_GAP / SEGMENT), 1).astype(int)
    cards = deck(split, priors, int(segments.sum()), rng)
    rows = int(lengths.sum())
    repeated = np.bincount(
        rng.integers(size, size=max(1, round(rows * REPEATED[split]))),
        minlength=size,
    )
    blank = max(1, round(rows * UNLABELLED)) if split == 'train' else 0
    for i in range(size):
      twin = i - 1 if i % 5 == 4 else i
      plan.append(
          Video(
              name=_name(i, 1 + int(numbers[len(plan) - (twin != i)])),
              split=split,
              domain=domain,
              person=(seed, group, i % people),
              key=(seed, group, i),
              place=(seed, group, twin),
              frames=int(lengths[i]),
              repeated=int(min(repeated[i], lengths[i])),
              unlabelled=min(blank, int(lengths[i])) if i == 0 else 0,
              segments=tuple(cards[: segments[i]]),
          )
      )
      cards = cards[segments[i] :]
  return plan
