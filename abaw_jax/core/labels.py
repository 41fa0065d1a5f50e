"""Label spaces (names, order, values for missing labels) and types of batches.

The order and the values are those of the s-Aff-Wild2 files (Kollias, ABAW4 MTL
challenge).
"""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from jaxtyping import Bool, Float, Int, Int8, UInt8
import numpy as np

# The 12 action units of the challenge, by FACS number, in file order.
AU_NUMBERS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
AU_NAMES = tuple(f'AU{number:02d}' for number in AU_NUMBERS)

# The 8 expression classes; the position is the class id in the files.
EXPRESSIONS = (
    'Neutral',
    'Anger',
    'Disgust',
    'Fear',
    'Happiness',
    'Sadness',
    'Surprise',
    'Other',
)

# The expressions of every dataset, by the class codes of its files.
NATIVE_EXPRESSIONS = {
    's_aff_wild2': dict(enumerate(EXPRESSIONS)),
    'affectnet': dict(
        enumerate((
            'Neutral', 'Happiness', 'Sadness', 'Surprise', 'Fear', 'Disgust',
            'Anger', 'Contempt', 'None', 'Uncertain', 'No-Face',
        ))
    ),
    'fer_plus': dict(
        enumerate((
            'Neutral', 'Happiness', 'Surprise', 'Sadness', 'Anger', 'Disgust',
            'Fear', 'Contempt', 'Unknown', 'NF',
        ))
    ),
    'raf_db': dict(
        enumerate(
            (
                'Surprise', 'Fear', 'Disgust', 'Happiness', 'Sadness', 'Anger',
                'Neutral',
            ),
            start=1,
        )
    ),
    'lsd': dict(
        enumerate((
            'Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise',
        ))
    ),
}  # fmt: skip
# Replacements for classes that EXPRESSIONS lacks (Savchenko, arXiv 2207.09508).
_REPLACEMENTS = {'Contempt': 'Other'}

# The mask of each task: True where its label may be used.
MASKS = {
    'valence': 'va',
    'arousal': 'va',
    'expression': 'expr',
    'au': 'au_mask',
}

# True where the label of a mask is a pseudo-label; only some batches have them.
PSEUDO = {mask: f'pseudo_{mask}' for mask in ('va', 'expr', 'au_mask')}

NUM_AUS = len(AU_NAMES)
NUM_EXPRESSIONS = len(EXPRESSIONS)

# Values in the annotation files for a missing label.
VA_MISSING = -5.0
EXPRESSION_MISSING = -1
AU_MISSING = -1

# Name -> (dtype, shape) of the keys, labels and masks of one frame in a dataset.
FRAME_COLUMNS = {
    'frame_id': (np.int32, ()),
    'row': (np.int32, ()),
    'valence': (np.float32, ()),
    'arousal': (np.float32, ()),
    'expression': (np.int32, ()),
    'au': (np.int8, (NUM_AUS,)),
    'va': (np.bool_, ()),
    'expr': (np.bool_, ()),
    'au_mask': (np.bool_, (NUM_AUS,)),
}

SPLITS = ('train', 'validation', 'test')


def expression_id(dataset: str, code: int) -> int:
  """Returns the index into EXPRESSIONS for a class code of a dataset.

  Contempt becomes Other. A class without a counterpart, such as Uncertain,
  becomes EXPRESSION_MISSING.

  Raises:
    KeyError: the dataset has no such code.
  """
  name = NATIVE_EXPRESSIONS[dataset][code]
  name = _REPLACEMENTS.get(name, name)
  return EXPRESSIONS.index(name) if name in EXPRESSIONS else EXPRESSION_MISSING


def scored_expressions(datasets: Iterable[str]) -> tuple[int, ...]:
  """Returns the expressions that count in the scores of datasets.

  These are all 8, but on LSD alone its 6, as in the challenge.

  Args:
    datasets: names, such as 'lsd' or 'lsd/frames'.
  """
  if {name.strip().split('/')[0] for name in datasets} != {'lsd'}:
    return tuple(range(NUM_EXPRESSIONS))
  return tuple(expression_id('lsd', code) for code in NATIVE_EXPRESSIONS['lsd'])


def positions(order: Sequence[str], wanted: Iterable[str]) -> tuple[int, ...]:
  """Returns the position in `order` of each wanted name; -1 where it is absent."""
  places = {name: i for i, name in enumerate(order)}
  return tuple(places.get(name, -1) for name in wanted)


def recording(video: str) -> str:
  """Returns the recording of a video.

  Two people of one recording are two videos, `<name>_left` and `<name>_right`.
  """
  return video.removesuffix('_left').removesuffix('_right')


def recording_ids(
    videos: Iterable[str],
) -> Int[np.ndarray, 'n']:
  """Returns the number of the recording of each video, 0 .. recordings - 1."""
  names = [recording(str(video)) for video in videos]
  return np.unique(names, return_inverse=True)[1]


class FrameBatch(TypedDict, total=False):
  """b independent face images with their labels.

  A mask is True if the label can be used; otherwise the label is 0 and has no
  meaning. `real` is False for padding rows.
  """

  image: UInt8[np.ndarray, 'b h w 3']  # RGB
  valence: Float[np.ndarray, 'b']  # [-1, 1]
  arousal: Float[np.ndarray, 'b']  # [-1, 1]
  expression: Int[np.ndarray, 'b']  # index into EXPRESSIONS
  au: Int8[np.ndarray, 'b 12']  # 0 absent, 1 present, in AU_NUMBERS order
  va: Bool[np.ndarray, 'b']
  expr: Bool[np.ndarray, 'b']
  au_mask: Bool[np.ndarray, 'b 12']
  real: Bool[np.ndarray, 'b']
  row: Int[np.ndarray, 'b']  # line of the split's list file, 0-based


class SoftFrameBatch(FrameBatch, total=False):
  """A FrameBatch for training with soft labels of expressions.

  `expr` is True if `expression_probs` can be used; `expression` has no meaning.
  """

  expression_probs: Float[np.ndarray, 'b 8']


class SequenceBatch(TypedDict, total=False):
  """b windows of t frames in order of time, each from one video.

  `frame_mask` is False for the padding after the last frame of a window; every
  other mask is False there, too. `frame_id` is the frame number in the video:
  s-Aff-Wild2 is a sparse sample, so neighboring rows are not neighboring
  frames.
  """

  features: Float[np.ndarray, 'b t d']
  valence: Float[np.ndarray, 'b t']
  arousal: Float[np.ndarray, 'b t']
  expression: Int[np.ndarray, 'b t']
  au: Int8[np.ndarray, 'b t 12']
  va: Bool[np.ndarray, 'b t']
  expr: Bool[np.ndarray, 'b t']
  au_mask: Bool[np.ndarray, 'b t 12']
  frame_mask: Bool[np.ndarray, 'b t']
  frame_id: Int[np.ndarray, 'b t']
  row: Int[np.ndarray, 'b t']
  real: Bool[np.ndarray, 'b']
  video_id: Int[np.ndarray, 'b']  # index into the source's sorted videos
  # Whether the window is the first of its video: the model must reset its
  # carried hidden state.
  start: Bool[np.ndarray, 'b']
  # Number of frames in the longest window of the batch, the same in all rows.
  # It is less than t at the end of the longest video of the batch.
  window_length: Int[np.ndarray, 'b']


class Output(TypedDict, total=False):
  """Output of every multi-task model; the first axes are those of the batch."""

  valence: Float[np.ndarray, '*b']  # unbounded, linear
  arousal: Float[np.ndarray, '*b']  # unbounded, linear
  expression: Float[np.ndarray, '*b 8']  # logits
  au: Float[np.ndarray, '*b 12']  # logits
  hidden: dict[
      str, Float[np.ndarray, '*b d']
  ]  # per task, before its last layer
