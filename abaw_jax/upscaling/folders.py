"""Enlarges image files, and resumes where an earlier command was killed."""

import collections
from collections.abc import Iterator, Mapping, Sequence
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from abaw_jax.core import errors, files, locks, progress_bars
from abaw_jax.upscaling import pictures, threads, upscalers

CARD = 'upscale.json'  # in the folder of new images


class Job(NamedTuple):
  """An image file, and the file for its larger version."""

  source: pathlib.Path
  target: pathlib.Path


def upscale(
    source: pathlib.Path,
    out: pathlib.Path,
    upscaler: upscalers.Upscaler,
    encoding: pictures.Encoding,
    *,
    overwrite: bool = False,
) -> upscalers.Result:
  """Writes larger versions of image files.

  Args:
    source: an image, or a folder with images, also in folders below it.
    out: folder for the new images, which keep their relative paths; for one image
      also a file that ends in .png or .jpg.
    upscaler: enlarges.
    encoding: of the new images.
    overwrite: replace files that exist.

  Raises:
    InputError: there are no images, two of them would become one file, or `out`
      has images of another model, of another folder or of unknown origin.
  """
  if source.is_file() and out.suffix.lower() in pictures.SUFFIXES:
    if pictures.Encoding('same').suffix(out.suffix) != out.suffix:
      raise errors.InputError(f'--out={out}: give a .png or .jpg file')
    _check_kept(source, out)
    if out.exists() and not overwrite:
      raise errors.InputError(
          f'--out={out}: exists; give another file, or --overwrite'
      )
    return _write([Job(source, out)], upscaler, encoding.quality)
  if source.is_file() and out.suffix and not out.is_dir():
    raise errors.InputError(
        f'--out={out}: unknown format {out.suffix!r}; give a .png or .jpg file, or '
        'a folder'
    )
  root = (source.parent if source.is_file() else source).absolute()
  jobs = _plan(source, root, out, encoding)
  card = {**upscaler.card, **encoding._asdict(), 'source': str(root)}
  with locks.held(out, inside=True):
    _claim(out, card, jobs, overwrite=overwrite)
    _remove_incomplete(out, jobs)
    missing = [job for job in jobs if overwrite or not _is_done(job)]
    result = _write(missing, upscaler, encoding.quality)
  return result._replace(existing=len(jobs) - len(missing))


def _plan(
    source: pathlib.Path,
    root: pathlib.Path,
    out: pathlib.Path,
    encoding: pictures.Encoding,
) -> list[Job]:
  """Returns all images with their targets, in the order of their names."""
  found = [source.absolute()]
  if source.is_dir():
    found = sorted(_images(source, out))
  if not found:
    raise errors.InputError(
        f'{source}: has no image ({", ".join(pictures.SUFFIXES)}); give a folder '
        'of images, an image or a built dataset'
    )
  jobs = [
      Job(
          path,
          (out / path.relative_to(root)).with_suffix(
              encoding.suffix(path.suffix)
          ),
      )
      for path in found
  ]
  origins = collections.defaultdict(list)
  for job in jobs:
    origins[job.target].append(str(job.source))
  for target, same in origins.items():
    if len(same) > 1:
      raise errors.InputError(
          f'{" and ".join(same)}: would both become {target}; rename one of them'
      )
    _check_kept(pathlib.Path(same[0]), target)
  return jobs


def _check_kept(source: pathlib.Path, target: pathlib.Path) -> None:
  """Raises an InputError if a target is an original image."""
  if source.resolve() == target.resolve():
    raise errors.InputError(
        f'--out: would replace the original {source}; give another place'
    )


def _images(folder: pathlib.Path, out: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the images in a folder and below it, without new ones of `out`."""
  folder, out = folder.absolute(), out.absolute()
  made = out if (out / CARD).exists() else None
  for path in folder.rglob('*'):
    if (
        path.suffix.lower() in pictures.SUFFIXES
        and not files.is_clutter(path.relative_to(folder).as_posix())
        and made not in path.parents
        and path.is_file()
    ):
      yield path


def _is_done(job: Job) -> bool:
  """Returns whether a target exists, and its original has not changed since.

  A target that exists is complete, because it gets its name at the end.
  """
  if not job.target.exists():
    return False
  return job.target.stat().st_mtime_ns >= job.source.stat().st_mtime_ns


def _claim(
    out: pathlib.Path,
    card: Mapping[str, Any],
    jobs: Sequence[Job],
    *,
    overwrite: bool,
) -> None:
  """Writes the card of the images that `out` will have.

  Raises:
    InputError: images exist that have another card or none.
  """
  card = json.loads(json.dumps(card))
  path = out / CARD
  found = _read_card(path)
  targets = [job.target for job in jobs if job.target.exists()]
  if overwrite and found != card:
    # So that no later command takes them for images of the new card.
    for target in targets:
      target.unlink()
  elif found:
    for key in sorted(found.keys() | card.keys()):
      if found.get(key) != card.get(key):
        raise errors.InputError(
            f'{path}: these images have {key}={found.get(key)!r}, not '
            f'{card.get(key)!r}; give another --out, or --overwrite'
        )
  elif targets:
    raise errors.InputError(
        f'{targets[0]}: exists, and there is no {path} that says how it was '
        'made; give another --out, or --overwrite'
    )
  files.write_json(path, card)


def _read_card(path: pathlib.Path) -> dict[str, Any]:
  """Returns the card of existing images; empty if there is none."""
  if not path.exists():
    return {}
  try:
    return dict(json.loads(path.read_text()))
  except (ValueError, TypeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read ({e}); give another --out, or remove the file '
        'and give --overwrite'
    ) from e


def _remove_incomplete(out: pathlib.Path, jobs: Sequence[Job]) -> None:
  """Removes the temporary files of a killed command, see `files.replacing`."""
  targets = {job.target for job in jobs}
  for path in out.rglob('*.tmp'):
    if path.with_suffix('').with_suffix('') in targets:
      path.unlink()


def _write(
    jobs: Sequence[Job], upscaler: upscalers.Upscaler, quality: int
) -> upscalers.Result:
  """Writes the targets of all jobs whose image is good."""
  bad = []

  def read(job: Job) -> tuple[Job, np.ndarray | str]:
    try:
      return job, pictures.decode(job.source.read_bytes())
    except OSError as e:
      return job, f'cannot be read ({e.strerror})'
    except errors.InputError as e:
      return job, str(e)

  def write(keyed: tuple[Job, np.ndarray]) -> None:
    job, pixels = keyed
    jpeg = job.target.suffix.lower() in pictures.JPEG_SUFFIXES
    encoding = pictures.Encoding(quality=quality)
    files.write(job.target, encoding.encode(pixels, jpeg=jpeg))

  with progress_bars.make(
      desc='upscaling', total=len(jobs), unit='images'
  ) as bar:

    def good() -> Iterator[tuple[Job, np.ndarray]]:
      for job, image in threads.mapped(read, jobs):
        if isinstance(image, str):
          bad.append(f'{job.source}: {image}')
          bar.update()
        else:
          yield job, image

    for _ in threads.mapped(write, upscaler(good())):
      bar.update()
  return upscalers.Result(len(jobs) - len(bad), 0, bad)
