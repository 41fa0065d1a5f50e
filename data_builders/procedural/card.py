"""The card of a corpus, `corpus.json`: its arguments and counts.

The card is written last. A corpus with a card is complete.
"""

from collections.abc import Iterable
import json
import pathlib
import shutil
from typing import Any

from abaw_jax.core import errors, files, locks

CARD = 'corpus.json'
DRAFT = 'corpus.unfinished.json'


def prepare(
    out: pathlib.Path, card: dict[str, Any], folders: Iterable[str]
) -> bool:
  """Returns whether `out` must be rendered; clears an interrupted corpus.

  Args:
    out: a new folder, a folder with the same corpus, or an interrupted corpus.
    card: version and arguments of the corpus.
    folders: folders in `out` that an interrupted corpus may contain.

  Raises:
    InputError: `out` has other content.
  """
  if (out / CARD).exists():
    try:
      found = json.loads((out / CARD).read_text())
    except json.JSONDecodeError as error:
      raise errors.InputError(
          f'{out / CARD}: is not JSON ({error}); remove the folder {out}'
      ) from error
    if all(found.get(key) == value for key, value in card.items()):
      return False
    raise errors.InputError(
        f'{out / CARD}: is the card of another corpus ({found.get("args")});'
        ' choose another --out or remove that folder'
    )
  if out.is_file():
    raise errors.InputError(f'--out={out} is a file; name a folder')
  if any(path.name != locks.FILE for path in out.glob('*')):
    if not (out / DRAFT).exists():
      raise errors.InputError(
          f'--out={out} is not empty and is not a corpus; name a new folder'
      )
    for name in folders:
      shutil.rmtree(out / name, ignore_errors=True)
  files.write_json(out / DRAFT, card)
  return True


def finish(out: pathlib.Path, card: dict[str, Any]) -> None:
  """Writes the card: the corpus is complete."""
  files.write_json(out / CARD, card)
  (out / DRAFT).unlink()
