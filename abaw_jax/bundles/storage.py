"""A bundle on disk: one folder with all that predictions need, and its checks.

`config.json` (models, preprocessing, alignment, labels, post-processing, origin),
`model.safetensors` (weights by path), `README.md` (a model card), and
`checksums.json` (the SHA-256 of the first two). A folder of the Hugging Face hub can
hold these files as they are, and the card may be edited there.
"""

from collections.abc import Mapping
import json
from typing import Any

from abaw_jax.bundles import parsing
from abaw_jax.core import errors, files
from abaw_jax.porting import weight_files

FORMAT = 'abaw_jax bundle'
VERSION = 1
CONFIG = 'config.json'
TENSORS = 'model.safetensors'
CARD = 'README.md'
CHECKSUMS = 'checksums.json'
FILES = (CONFIG, TENSORS)  # those with a checksum


def read_bundle(
    folder: files.Path, *, model: Mapping[str, Any] | None = None
) -> parsing.Bundle:
  """Returns the bundle of a folder, after a check of every part.

  Args:
    folder: of the bundle.
    model: values for the keys that a section `model` has, such as `dtype`.

  Raises:
    InputError: a file is missing, differs from its checksum, has another version,
      or its parts do not fit together; names the file, the part and the fix.
  """
  folder = files.path(folder)
  if not folder.is_dir():
    raise errors.InputError(
        f'{folder}: there is no such folder; abaw-jax bundle writes a bundle'
    )
  config = _read_json(folder / CONFIG)
  _check_version(folder / CONFIG, config)
  checksums = _check_files(folder)
  with files.local_copy(folder / TENSORS) as copy:
    tensors, _ = weight_files.read_tensors(copy)
  try:
    below = [x for part in config['temporal'] for x in part.get('below', ())]
    parts = (config['frame'], *config['temporal'])
    for section in (*(part['model'] for part in parts), *below):
      known = section.keys() & (model or {}).keys()
      section |= {key: model[key] for key in known}
    return parsing.parse(config, tensors, checksums, folder)
  except errors.InputError as e:
    if str(e).startswith(str(folder)):
      raise
    raise errors.InputError(f'{folder / CONFIG}: {e}') from e
  except KeyError as e:
    raise errors.InputError(
        f'{folder / CONFIG}: the key {e} is missing; make the bundle again'
    ) from e
  except (TypeError, ValueError) as e:
    raise errors.InputError(
        f'{folder / CONFIG}: {e}; make the bundle again'
    ) from e


def _read_json(path: files.Path) -> dict[str, Any]:
  if not path.is_file():
    raise errors.InputError(
        f'{path}: this file of the bundle is missing; copy the folder again'
    )
  try:
    content = json.loads(path.read_text())
  except ValueError as e:
    raise errors.InputError(
        f'{path}: is not JSON ({e}); copy the folder again'
    ) from e
  if not isinstance(content, dict):
    raise errors.InputError(
        f'{path}: holds no JSON object; copy the folder again'
    )
  return content


def _check_version(path: files.Path, config: dict[str, Any]) -> None:
  if config.get('format') != FORMAT:
    raise errors.InputError(
        f'{path}: format is {config.get("format")!r}, not {FORMAT!r}; give a '
        'folder that abaw-jax bundle wrote'
    )
  if config.get('version') != VERSION:
    raise errors.InputError(
        f'{path}: version is {config.get("version")!r}, and this program reads '
        f'version {VERSION}; make the bundle again, or install the abaw_jax that '
        'wrote it'
    )


def _check_files(folder: files.Path) -> dict[str, str]:
  """Returns the checksums, after a comparison with the files."""
  checksums = _read_json(folder / CHECKSUMS)
  for name in (*FILES, CARD):
    if not (folder / name).is_file():
      raise errors.InputError(
          f'{folder / name}: this file of the bundle is missing; copy the folder '
          'again'
      )
  for name in FILES:
    path = folder / name
    if weight_files.sha256(path) != checksums.get(name):
      raise errors.InputError(
          f'{path}: its SHA-256 differs from the one in {CHECKSUMS}; copy the '
          'folder again'
      )
  return {name: checksums[name] for name in FILES}
