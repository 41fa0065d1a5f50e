"""What a folder of rendered faces says of itself: whether it is whole."""

from collections.abc import Iterable
import json
import pathlib
import shutil
from typing import Any

from abaw_jax.core import errors

CARD = 'corpus.json'  # written last: its presence means the corpus is whole
DRAFT = 'corpus.unfinished.json'


def prepare(
    out: pathlib.Path, card: dict[str, Any], folders: Iterable[str]
) -> bool:
  """Returns whether `out` still has to be rendered; clears a broken start.

  Args:
    out: a new folder, one with the same corpus, or an interrupted one.
    card: what tells this corpus from others.
    folders: what an interrupted start may have left there.

  Raises:
    InputError: if `out` holds anything else.
  """
  if (out / CARD).exists():
    try:
      found = json.loads((out / CARD).read_text())
    except json.JSONDecodeError as error:
      raise errors.InputError(
          f'{out / CARD}: is no JSON ({error}); remove the folder {out}'
      ) from error
    if all(found.get(key) == value for key, value in card.items()):
      return False
    raise errors.InputError(
        f'{out / CARD}: holds another corpus ({found.get("args")}); choose'
        ' another --out or remove that folder'
    )
  if out.is_file():
    raise errors.InputError(f'--out={out} is a file; name a folder')
  if out.exists() and any(out.iterdir()):
    if not (out / DRAFT).exists():
      raise errors.InputError(
          f'--out={out} is not empty and holds no corpus; name a new folder'
      )
    for name in folders:
      shutil.rmtree(out / name, ignore_errors=True)
  out.mkdir(parents=True, exist_ok=True)
  (out / DRAFT).write_text(json.dumps(card))
  return True


def finish(out: pathlib.Path, card: dict[str, Any]) -> None:
  """Writes the card: the corpus is whole."""
  (out / DRAFT).write_text(json.dumps(card, indent=2) + '\n')
  (out / DRAFT).rename(out / CARD)
