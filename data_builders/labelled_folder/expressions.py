"""Names of expressions in a user's labels, and the file that maps them to ours."""

from collections.abc import Mapping
import json
import pathlib
from typing import Any

import yaml

from abaw_jax.core import choices, errors, labels, text_files

FILES = ('expressions.json', 'expressions.yaml', 'expressions.yml')
# Other words for our classes; Contempt becomes Other, as in the other datasets.
_WORDS = {
    'angry': 'Anger',
    'disgusted': 'Disgust',
    'fearful': 'Fear',
    'happy': 'Happiness',
    'sad': 'Sadness',
    'surprised': 'Surprise',
    'contempt': 'Other',
}
_NAMES = {name.lower(): i for i, name in enumerate(labels.EXPRESSIONS)}
_NAMES |= {
    word: labels.EXPRESSIONS.index(name) for word, name in _WORDS.items()
}
_IDS = {str(i): i for i in range(labels.NUM_EXPRESSIONS)}
_MISSING = {'': labels.EXPRESSION_MISSING, '-1': labels.EXPRESSION_MISSING}


class Names:
  """The class ids of names, of words such as 'happy', and of mapped names."""

  def __init__(self, mapping: Mapping[str, int] | None = None, file: str = ''):
    """Stores the content of a mapping file; without one, ids are ours."""
    self._ids = _NAMES | (_IDS if mapping is None else mapping) | _MISSING
    self._file = file

  def id(self, text: str) -> int:
    """Returns an index into labels.EXPRESSIONS, or -1 for an empty text.

    Raises:
      ValueError: the name or id is not known; suggests the nearest name.
    """
    # Pandas writes ids with gaps as 3.0.
    key = text.strip().lower().removesuffix('.0')
    if key in self._ids:
      return self._ids[key]
    known = {name.lower(): name for name in labels.EXPRESSIONS}
    hint = choices.suggestion(key, known)
    for lower, name in known.items():
      hint = hint.replace(lower, name)
    raise ValueError(
        f'unknown expression {text!r}; {hint} Other names and ids belong in'
        f' {self._file or FILES[0]}: {{{json.dumps(text)}: "Happiness"}}'
    )


def load(folder: pathlib.Path) -> Names:
  """Returns the names, with the mapping file of the folder if it has one.

  Raises:
    InputError: the file is not a mapping of names or ids to our classes.
  """
  found = [folder / name for name in FILES if (folder / name).is_file()]
  if not found:
    return Names()
  path = found[0]
  if len(found) > 1:
    raise errors.InputError(
        f'{path} and {found[1]} both map expressions; keep one'
    )
  try:
    with text_files.open_text(path) as file:
      content = yaml.safe_load(file)  # JSON is YAML
  except yaml.YAMLError as error:
    reason = ' '.join(str(error).split())
    raise errors.InputError(
        f'{path}: cannot be read ({reason}); write {{"theirs": "Happiness"}}'
    ) from error
  if not isinstance(content, dict):
    raise errors.InputError(
        f'{path}: is not a mapping; write {{"theirs": "Happiness"}}'
    )
  return Names(
      {
          str(theirs).strip().lower(): _ours(path, theirs, ours)
          for theirs, ours in content.items()
      },
      path.name,
  )


def _ours(path: pathlib.Path, theirs: Any, ours: Any) -> int:
  """Returns the class id of a value; null means that the label is not used."""
  if ours is None:
    return labels.EXPRESSION_MISSING
  try:
    return Names().id(str(ours))
  except ValueError as error:
    reason = str(error).partition(' Other names')[0]
    raise errors.InputError(f'{path}: {theirs!r}: {reason}') from error
