"""Features of every frame of a dataset, computed once with a trained backbone.

Every process embeds its own shards on its own devices. All wait for each other at
the start and at the end. The same command finishes the shards of a killed process.
A video network reads windows of frames, see `frame_windows`.
"""

from collections.abc import Callable, Iterator, Mapping
import functools
import itertools
from typing import Any

import grain
import jax
import numpy as np

from abaw_jax.core import errors, files, progress_bars
from abaw_jax.data import sources
from abaw_jax.distributed import processes, sharding
from abaw_jax.inference import embedder, frame_windows
from abaw_jax.sequences import feature_datasets
from abaw_jax.telemetry import journal

# About 4,000 frames, so that many processes have a share.
_RECORDS_PER_SHARD = 64


def extract(
    *,
    init_from: files.Path,
    data_dir: files.Path,
    dataset: str,
    name: str,
    batch_size: int,
    output: str = 'embedding',
    pool: str = '',
    crops: int = 1,
    windows: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
  """Writes `<data_dir>/<dataset>_features/<name>`, one vector per frame.

  Args:
    init_from: workdir of a run, whose best weights are used, or a folder of
      weights.
    data_dir: folder of all built datasets.
    dataset: name of the dataset; its `sequences` config is read.
    name: name of the new set of features.
    batch_size: images per step, over all devices; also the frames of windows.
    output: as in `embedder.load`.
    pool: as in `embedder.load`.
    crops: as in `embedder.load`.
    windows: of a video network, `span` as in `embedder.load` and the other arguments
      of `frame_windows.Sampling.from_options`; None or missing values are the defaults.
    overwrite: replace features with this name.

  Raises:
    InputError: there is no such run or dataset, an image is corrupt, or features
      of another checkpoint or of other data have this name, or another command
      writes them.
  """
  mesh = sharding.make_mesh(fsdp=1)
  given = {k: x for k, x in (windows or {}).items() if x is not None}
  sampling = frame_windows.Sampling.from_options(init_from, given)
  batch_size = _per_step(batch_size, sampling, mesh)
  source = embedder.load(
      init_from,
      mesh,
      output=output,
      pool=pool,
      crops=crops,
      span=given.get('span', ''),
  )
  card = source.card
  if sampling:
    card = card | {'windows': sampling._asdict()}
  dataset_name = f'{dataset}/sequences'
  splits = {
      split: sources.Records(data_dir, dataset, 'sequences', split)
      for split in sources.split_names(data_dir, dataset, 'sequences')
  }
  writer = feature_datasets.FeatureWriter(
      data_dir,
      dataset,
      name,
      dim=source.dim,
      card=card,
      num_records={split: len(records) for split, records in splits.items()},
      records_per_shard=_RECORDS_PER_SHARD,
      source={dataset_name: sources.fingerprint(data_dir, dataset_name)},
      overwrite=overwrite,
  )
  processes.check_same({f'{name} is finished': writer.finished})
  if writer.finished:
    journal.say(f'{name}: these features exist already')
    return
  mesh = sharding.make_mesh(fsdp=1, devices=jax.local_devices())
  with processes.holding(writer.folder), jax.set_mesh(mesh):
    if jax.process_index() == 0:
      writer.begin()
    processes.wait_for_all()
    embed = functools.partial(
        _embed,
        functools.partial(
            source.jit(mesh),
            jax.device_put(
                jax.device_get(source.params), sharding.replicated(mesh)
            ),
        ),
        mesh,
        batch_size // jax.process_count(),
    )
    _write_share(writer, splits, embed, sampling, source.decoding)
    processes.wait_for_all()
    if jax.process_index() == 0:
      writer.finish({split: _num_rows(splits[split]) for split in splits})


def _write_share(
    writer: feature_datasets.FeatureWriter,
    splits: Mapping[str, sources.Records],
    embed: Callable[[np.ndarray, np.ndarray], np.ndarray],
    sampling: frame_windows.Sampling | None,
    decoding: Mapping[str, Any],
) -> None:
  """Writes the missing shards that belong to this process."""
  # Every process must see the same missing shards, so none may write yet.
  missing = writer.missing()
  processes.wait_for_all()
  share = missing[jax.process_index() :: jax.process_count()]
  count = sum(shard.stop - shard.start for shard in share)
  read = functools.cache(
      lambda split: frame_windows.read(splits[split], sampling, decoding)
  )
  quiet = jax.process_index() > 0
  with progress_bars.make(
      desc='extracting', total=count, unit='records', disable=quiet
  ) as bar:
    for shard in share:
      records = grain.MapDataset.source(read(shard.split))
      records = records[shard.start : shard.stop].to_iter_dataset()
      writer.write(shard, _with_features(records, embed, bar))


def _with_features(records, embed, bar) -> Iterator[dict[str, Any]]:
  """Yields records with features; groups of 8 fill batches and bound memory."""
  decoded = iter(records)
  while group := list(itertools.islice(decoded, 8)):
    images, windows = (
        [record[name] for record in group] for name in ('image', 'windows')
    )
    starts = np.cumsum([0, *map(len, images)])
    windows = [x + start for x, start in zip(windows, starts, strict=False)]
    vectors = embed(np.concatenate(images), np.concatenate(windows))
    ends = np.cumsum([len(x) for x in windows])[:-1]
    for record, part in zip(group, np.split(vectors, ends), strict=True):
      rows = part.reshape(-1, part.shape[-1])
      yield record | {'features': rows[record['place']]}
    bar.update(len(group))


def _per_step(batch_size: int, sampling, mesh) -> int:
  """Returns the images, or windows of frames, per step; checks that they divide."""
  if not sampling:
    sharding.check_batch(batch_size, mesh, '--batch_size')
    return batch_size
  if batch_size % (sampling.num_frames * mesh.size):
    raise errors.InputError(
        f'--batch_size={batch_size}: is no multiple of {sampling.num_frames} frames '
        f'of a window * {mesh.size} devices; choose a multiple'
    )
  return batch_size // sampling.num_frames


def _num_rows(records: sources.Records) -> int:
  """Returns the number of rows of a split; counts them if its builder did not."""
  if records.num_rows is not None:
    return records.num_rows
  return sum(len(record['row']) for record in records.with_fields('row'))


def _embed(
    step, mesh, batch_size: int, images: np.ndarray, windows: np.ndarray
) -> np.ndarray:
  """Returns the embedding [n, ...] of n inputs, in batches of equal size.

  Args:
    step: the jitted function from a batch to features.
    mesh: of the devices.
    batch_size: inputs per step.
    images: uint8 images.
    windows: index of the image [n], or of each frame [n, t], of every input.
  """
  split = sharding.over_batch(mesh)
  padding = -len(windows) % batch_size
  windows = np.concatenate(
      [windows, np.zeros((padding, *windows.shape[1:]), windows.dtype)]
  )
  vectors, ahead = [], []
  for batch in np.split(windows, len(windows) // batch_size):
    ahead.append(step(jax.device_put(images[batch], split)))
    if len(ahead) > 1:  # a long video must not fill the device memory
      vectors.append(jax.device_get(ahead.pop(0)))
  vectors = np.concatenate(vectors + jax.device_get(ahead))
  return vectors[: len(vectors) - padding].astype(np.float32)
