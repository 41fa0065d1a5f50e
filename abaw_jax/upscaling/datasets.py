"""Enlarges the images of a built dataset into a new one, shard by shard."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abaw_jax.core import choices, errors, files, locks, progress_bars
from abaw_jax.data import images, sources
from abaw_jax.derived import writer as writer_lib
from abaw_jax.upscaling import pictures, threads, upscalers

# Images of a file, so that little is lost if the command is killed.
_IMAGES_PER_SHARD = 1024

Record = Mapping[str, Any]


class Writer(writer_lib.Writer):
  """Writes the dataset of larger images."""

  content = 'images'


def configs(path: files.Path) -> list[files.Path]:
  """Returns the datasets `<data_dir>/<name>/<config>` that a path names.

  Empty if it names none.

  Args:
    path: `<data_dir>/<name>`, one of its configs, or a version of a config.
  """
  if (path / 'dataset_info.json').is_file():
    return [path.parent]
  if any(path.glob('*/dataset_info.json')):
    return [path]
  return sorted({x.parent.parent for x in path.glob('*/*/dataset_info.json')})


def upscale(
    dataset: files.Path,
    data_dir: files.Path,
    upscaler: upscalers.Upscaler,
    encoding: pictures.Encoding,
    *,
    name: str | None = None,
    splits: Sequence[str] = (),
    overwrite: bool = False,
) -> upscalers.Result:
  """Writes `<data_dir>/<name>/<config>`, with the records of a dataset.

  Everything but the images stays as it is. The metadata name the original. With a
  bad image, the dataset is not complete: the same command tries the shard of the
  image again.

  Args:
    dataset: `<data_dir>/<name>/<config>` of the original.
    data_dir: folder of all new datasets.
    upscaler: enlarges.
    encoding: of the new images.
    name: of the new dataset; None keeps the name.
    splits: splits whose images are enlarged; others keep their images. Empty
      means all.
    overwrite: replace a dataset with this name.

  Raises:
    InputError: there is no such dataset or split, the new one would replace it, or
      it exists with other images.
  """
  dataset = files.absolute(dataset)
  old_dir, old_name, config = (
      dataset.parent.parent, dataset.parent.name, dataset.name,
  )  # fmt: skip
  folder = files.absolute(data_dir) / (name or old_name) / config
  if folder == dataset:
    raise errors.InputError(
        f'--out={data_dir}: has the original {old_name}/{config}; give another '
        '--out, or a --name for the new dataset'
    )
  info = sources.info(old_dir, old_name, config)
  records = {
      split: sources.Records(old_dir, old_name, config, split)
      for split in sources.split_names(old_dir, old_name, config)
  }
  _check_splits(splits, records, dataset)
  fingerprint = sources.fingerprint(old_dir, f'{old_name}/{config}')
  card = {**upscaler.card, **encoding._asdict(), 'splits': sorted(splits)}
  writer = Writer(
      folder,
      schema=info.features,
      card=card,
      num_records={split: len(x) for split, x in records.items()},
      records_per_shard=_records_per_shard(records),
      source={f'{old_name}/{config}': fingerprint},
      options=fingerprint['options'],
      overwrite=overwrite,
  )
  rows = info.metadata.get('rows') or {k: len(x) for k, x in records.items()}
  enlarged = [split for split in records if not splits or split in splits]
  num_images = sum(rows[split] for split in enlarged)
  if writer.finished:
    return upscalers.Result(0, num_images, [])
  written, skipped, bad = 0, 0, []
  with locks.held(writer.folder):
    writer.begin()
    shards = [x for x in writer.missing() if x.split in enlarged]
    per_record = {split: rows[split] / len(x) for split, x in records.items()}
    missing = sum((x.stop - x.start) * per_record[x.split] for x in shards)
    with progress_bars.make(
        desc='upscaling', total=round(missing), unit='images'
    ) as bar:
      for shard in shards:
        found, wrong = _enlarged(
            records[shard.split], shard, upscaler, encoding, bar
        )
        count = sum(map(_num_images, found))
        if wrong:
          skipped += count
          bad += wrong
        else:
          writer.write(shard, found)
          written += count
    for shard in writer.missing():
      if shard not in shards:
        span = range(shard.start, shard.stop)
        writer.write(shard, (records[shard.split][i] for i in span))
    if not bad:
      writer.finish(
          rows,
          **{key: x for key, x in info.metadata.items() if key != 'rows'},
          upscaled_from=f'{old_name}/{config}',
      )
  return upscalers.Result(written, num_images - written - skipped, bad)


def _check_splits(
    splits: Sequence[str],
    records: Mapping[str, sources.Records],
    dataset: files.Path,
) -> None:
  """Raises an InputError if a split does not exist, or there are no images."""
  for split in splits:
    choices.pick(records, split, f'--splits of {dataset}')
  if any('image' not in x.fields for x in records.values()):
    raise errors.InputError(
        f'{dataset}: has no images; give a dataset that has'
    )


def _records_per_shard(records: Mapping[str, sources.Records]) -> int:
  """Returns the number of records with about _IMAGES_PER_SHARD images."""
  first = next(iter(records.values()))
  return max(
      1, _IMAGES_PER_SHARD * len(first) // (first.num_rows or len(first))
  )


def _num_images(record: Record) -> int:
  image = record['image']
  return len(image) if isinstance(image, list) else 1


def _enlarged(
    records: sources.Records,
    shard: writer_lib.Shard,
    upscaler: upscalers.Upscaler,
    encoding: pictures.Encoding,
    bar: Any,
) -> tuple[list[Record], list[str]]:
  """Returns the records of a shard with larger images, and lines about bad ones.

  With bad images, the records are the originals.
  """
  part = {i: records[i] for i in range(shard.start, shard.stop)}
  bad, encoded = [], {}

  def originals() -> Iterator[tuple[tuple[int, int], bytes]]:
    for i, record in part.items():
      found = record['image']
      for k, data in enumerate(found if isinstance(found, list) else [found]):
        yield (i, k), data

  def decode(keyed):
    (i, k), data = keyed
    try:
      return (i, k, pictures.is_jpeg(data)), images.decode(data)
    except errors.InputError as e:
      return (i, k, False), f'{records.where(i)}: {e}'

  def good():
    for key, image in threads.mapped(decode, originals()):
      if isinstance(image, str):
        bad.append(image)
        bar.update()
      else:
        yield key, image

  def encode(keyed):
    (i, k, jpeg), pixels = keyed
    jpeg = encoding.is_jpeg(jpeg)
    return (i, k), encoding.encode(pixels, jpeg=jpeg)

  for key, data in threads.mapped(encode, upscaler(good())):
    encoded[key] = data
    bar.update()
  if bad:
    return list(part.values()), bad
  return [
      record
      | {
          'image': [encoded[i, k] for k in range(len(record['image']))]
          if isinstance(record['image'], list)
          else encoded[i, 0]
      }
      for i, record in part.items()
  ], bad
