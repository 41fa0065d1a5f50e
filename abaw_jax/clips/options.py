"""Settings of a prediction that change its table."""

from collections.abc import Iterable, Mapping
import dataclasses
import itertools
import math
from typing import Any

from abaw_jax.core import errors

# With this detector the images are faces that are aligned already.
NO_DETECTOR = 'none'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How frames become rows; the schema file of a table has all of them.

  Attributes:
    detector: a detector of `faces.make_detector`, or 'none' for images that are
      aligned faces. '{clip}' in it is replaced by the name of the clip.
    every: the detector sees every k-th frame; faces are tracked between.
    long_side: images are reduced to this many pixels for the detector.
    min_confidence: faces below it are ignored, in (0, 1).
    frame_rate: largest number of frames per second that are read; None = all.
    adaptive: the probability of an expression at which the backbone reads no more
      frames of a segment; None = it reads every frame.
    strides: of `adaptive`, distances of the frames that it reads, in frames of a
      face. Each is a multiple of the next one.
    interpolate: longest gap of a face that is filled, in seconds; 0 = none.
    duration: seconds of each clip that are read; None = all.
    image_rate: of images without timestamps, per second.
  """

  detector: str = 'centerface'
  every: int = 3
  long_side: int = 640
  min_confidence: float = 0.5
  frame_rate: float | None = None
  adaptive: float | None = None
  strides: tuple[int, ...] = (8, 4, 2, 1)
  interpolate: float = 0.0
  duration: float | None = None
  image_rate: float = 30.0

  def __post_init__(self):
    _check(self.every >= 1, 'every', self.every, 'give a number from 1')
    _check(
        self.long_side >= 32, 'long_side', self.long_side, 'give at least 32'
    )
    for name in ('min_confidence', 'adaptive'):
      value = getattr(self, name)
      ok = value is None or 0 < value < 1
      _check(ok, name, value, 'give a number between 0 and 1')
    for name in ('frame_rate', 'duration', 'image_rate'):
      value = getattr(self, name)
      ok = value is None or 0 < value < math.inf
      _check(ok, name, value, 'give a number above 0')
    ok = 0 <= self.interpolate < math.inf
    _check(ok, 'interpolate', self.interpolate, 'give seconds from 0')
    nested = self.strides[-1:] == (1,) and all(
        a > b > 0 and a % b == 0 for a, b in itertools.pairwise(self.strides)
    )
    text = ','.join(map(str, self.strides))
    _check(
        nested,
        'strides',
        text,
        'each is a multiple of the next one and the last is 1, such as 8,4,2,1',
    )

  @property
  def is_aligned(self) -> bool:
    """Whether the images are aligned faces."""
    return self.detector == NO_DETECTOR

  def to_json(self) -> dict[str, Any]:
    """Returns the options that have an effect, as JSON."""
    values = dataclasses.asdict(self) | {'strides': list(self.strides)}
    if self.adaptive is None:
      del values['strides']
    if self.is_aligned:
      for name in ('every', 'long_side', 'min_confidence'):
        del values[name]
    return values


def make(values: Mapping[str, Any]) -> Options:
  """Returns options from a dict; raises an InputError if one is wrong."""
  check_names(values, [field.name for field in dataclasses.fields(Options)])
  return Options(**values)


def check_names(values: Mapping[str, Any], known: Iterable[str]) -> None:
  """Raises an InputError if there is an option that is not in `known`."""
  for name in values:
    if name not in known:
      raise errors.InputError(
          f'{name}: there is no such option here; choose from {", ".join(known)}'
      )


def _check(ok: bool, name: str, value: Any, fix: str) -> None:
  if not ok:
    raise errors.InputError(f'{name}={value}: {fix}')
