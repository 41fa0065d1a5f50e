"""Enlarges whatever a path names: an image, a folder or a dataset."""

from collections.abc import Sequence
import time
from typing import Any

from abaw_jax.core import errors, files
from abaw_jax.upscaling import datasets, folders, pictures, upscalers


def upscale(
    source: files.Path,
    out: files.Path,
    *,
    encoding: tuple[str, int] = pictures.Encoding(),
    name: str | None = None,
    splits: Sequence[str] = (),
    overwrite: bool = False,
    **options: Any,
) -> tuple[list[str], list[str]]:
  """Returns lines about what was written, and a line for each bad image.

  Args:
    source: an image, a folder of images, `<data_dir>/<name>` or one of its configs.
    out: see `folders.upscale` and `datasets.upscale`.
    encoding: format and quality of the new images.
    name: see `datasets.upscale`.
    splits: see `datasets.upscale`.
    overwrite: see `folders.upscale` and `datasets.upscale`.
    **options: arguments of `upscalers.load`.

  Raises:
    InputError: the input, the model or an option is wrong.
  """
  if not source.exists():
    raise errors.InputError(
        f'{source}: does not exist; give an image, a folder of images or a built '
        'dataset'
    )
  encoding = pictures.Encoding(*encoding)
  found = datasets.configs(source) if source.is_dir() else []
  if not found and (name or splits):
    raise errors.InputError(
        f'{source}: is no built dataset; omit --name and --splits'
    )
  upscaler = upscalers.load(**options)
  lines, bad = [], []
  for dataset in found:
    start = time.monotonic()
    result = datasets.upscale(
        dataset,
        out,
        upscaler,
        encoding,
        name=name,
        splits=splits,
        overwrite=overwrite,
    )
    title = f'{out / (name or dataset.parent.name) / dataset.name}'
    lines.append(_line(title, result, upscaler, start))
    if result.bad:
      lines[-1] += '; the dataset is not complete without them'
    bad += result.bad
  if not found:
    start = time.monotonic()
    result = folders.upscale(
        files.local_path(source, 'the input'),
        files.local_path(out, '--out'),
        upscaler,
        encoding,
        overwrite=overwrite,
    )
    lines.append(_line(str(out), result, upscaler, start))
    bad += result.bad
  return lines, bad


def _line(
    title: str,
    result: upscalers.Result,
    upscaler: upscalers.Upscaler,
    start: float,
) -> str:
  """Returns a line about a folder or dataset."""
  rate = result.written / max(time.monotonic() - start, 1e-3)
  text = f'{title}: {result.written:,} images enlarged {upscaler.scale} times'
  if upscaler.devices:
    text += f' on {upscaler.devices}'
  text += f', {rate:,.1f} images/s'
  if result.existing:
    text += f'; {result.existing:,} exist already'
  if result.bad:
    text += f'; {len(result.bad):,} are bad'
  return text
