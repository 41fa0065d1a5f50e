"""Small datasets for tests."""

import cv2
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.data import sources
from abaw_jax.sequences import feature_datasets, table, videos


def jpeg(seed: int, size: int = 24) -> bytes:
  """Returns an encoded smooth random image."""
  noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
  image = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
  return cv2.imencode('.jpg', image)[1].tobytes()


def rows(num_frames: dict[str, int]) -> dict[str, dict[str, np.ndarray]]:
  """Returns the columns of each video; frame numbers have gaps and repetitions.

  Row numbers continue from video to video. Every fourth frame is listed twice.
  Some labels are missing and have the sentinels of the files.
  """
  rng = np.random.default_rng(7)
  videos = {}
  first_row = 0
  for video, n in num_frames.items():
    frame_id = np.cumsum(rng.integers(1, 9, n)).astype(np.int32)
    frame_id[3::4] = frame_id[2::4][: len(frame_id[3::4])]
    va, expr = rng.random(n) < 0.7, rng.random(n) < 0.7
    au_mask = np.repeat(rng.random((n, 1)) < 0.7, 12, axis=1)
    videos[video] = {
        'frame_id': frame_id,
        'row': np.arange(first_row, first_row + n, dtype=np.int32),
        'valence': np.where(va, rng.uniform(-1, 1, n), -5).astype(np.float32),
        'arousal': np.where(va, rng.uniform(-1, 1, n), -5).astype(np.float32),
        'expression': np.where(expr, rng.integers(0, 8, n), -1).astype(
            np.int32
        ),
        'au': np.where(au_mask, rng.integers(0, 2, (n, 12)), -1).astype(
            np.int8
        ),
        'va': va,
        'expr': expr,
        'au_mask': au_mask,
    }
    first_row += n
  return videos


def chunks(videos, chunk_size: int):
  """Yields records of up to `chunk_size` rows of one video, in reverse order."""
  for video, columns in reversed(videos.items()):
    n = len(columns['row'])
    for chunk, start in reversed([*enumerate(range(0, n, chunk_size))]):
      record = {k: v[start : start + chunk_size] for k, v in columns.items()}
      yield {'video': video, 'chunk': chunk, **record}


def row_features(row: np.ndarray, dim: int) -> np.ndarray:
  """Returns features [n, dim] that differ in every row and column."""
  return (row[:, None] + np.arange(dim) / 100).astype(np.float32)


def write_features(data_dir, videos, *, name='mae', dim=3, chunk_size=4):
  """Writes a feature dataset `toy_features` with the split train."""
  records = [
      {**record, 'features': row_features(record['row'], dim)}
      for record in chunks(videos, chunk_size)
  ]
  write_records(
      data_dir, {'train': records}, name=name, dim=dim, card={'from': name}
  )


def write_records(
    data_dir,
    records,
    *,
    dataset='toy',
    name='mae',
    dim=3,
    card,
    per_shard=3,
    source=None,
):
  """Writes records by split as a feature dataset."""
  writer = feature_datasets.FeatureWriter(
      data_dir,
      dataset,
      name,
      dim=dim,
      card=card,
      num_records={split: len(x) for split, x in records.items()},
      records_per_shard=per_shard,
      source=source,
  )
  writer.begin()
  for shard in writer.missing():
    writer.write(shard, records[shard.split][shard.start : shard.stop])
  writer.finish(
      {split: sum(len(r['row']) for r in x) for split, x in records.items()}
  )


def open_videos(data_dir, *names, **options) -> videos.Videos:
  """Returns the videos of feature datasets of `toy`, joined."""
  sets = [
      [sources.Records(data_dir, 'toy_features', name, 'train')]
      for name in names or ('mae',)
  ]
  return videos.Videos(table.read(sets), sets, **options)


def distinct(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns the columns of a video with each frame once, in a plain loop.

  A frame gets its first row number and the first usable label of each kind.
  """
  kinds = {
      'va': ('valence', 'arousal', 'va'),
      'expr': ('expression', 'expr'),
      'au_mask': ('au', 'au_mask'),
  }
  frames = {}
  for i, frame_id in enumerate(columns['frame_id'].tolist()):
    row = {name: value[i].copy() for name, value in columns.items()}
    kept = frames.setdefault(frame_id, row)
    for mask, names in kinds.items():
      if row[mask].all() and not kept[mask].any():
        kept |= {name: row[name] for name in names}
  return {
      name: np.array([frame[name] for frame in frames.values()])
      for name in columns
  }


class Toy(tfds.core.GeneratorBasedBuilder):
  """A builder of both configs of the schema, with small images."""

  VERSION = tfds.core.Version('1.0.0')
  # Otherwise TFDS looks for checksums with a package that it does not install.
  url_infos = None
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name='sequences'),
      tfds.core.BuilderConfig(name='frames'),
  ]
  videos = rows({'a': 9, 'b_left': 5})

  def _info(self):
    number = tfds.features.Scalar
    schema = {
        'frame_id': number(np.int32),
        'row': number(np.int32),
        'valence': number(np.float32),
        'arousal': number(np.float32),
        'expression': number(np.int32),
        'au': tfds.features.Tensor(shape=(12,), dtype=np.int8),
        'va': number(np.bool_),
        'expr': number(np.bool_),
        'au_mask': tfds.features.Tensor(shape=(12,), dtype=np.bool_),
    }
    if self.builder_config.name == 'sequences':
      schema = {k: tfds.features.Sequence(v) for k, v in schema.items()}
      schema['chunk'] = np.int32
      schema['image'] = tfds.features.Sequence(tfds.features.Text())
    else:
      schema['image'] = tfds.features.Image(encoding_format='jpeg')
    schema['video'] = tfds.features.Text()
    return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(schema),
        metadata=tfds.core.MetadataDict(rows={'train': 14}),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    if self.builder_config.name == 'sequences':
      for index, record in enumerate(chunks(self.videos, 4)):
        images = [jpeg(row) for row in record['row']]
        yield index, {**record, 'image': images}
    else:
      for record in chunks(self.videos, 1):
        row = record['row'][0]
        del record['chunk']
        video = record.pop('video')
        scalars = {k: v[0] for k, v in record.items()}
        yield int(row), {**scalars, 'video': video, 'image': jpeg(row)}


class ToyFaces(tfds.core.GeneratorBasedBuilder):
  """A builder of unlabelled faces in the schema of `face_images`."""

  VERSION = tfds.core.Version('1.0.0')
  url_infos = None  # see Toy
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name='wild')]

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
            {'image': tfds.features.Image(), 'name': tfds.features.Text()}
        ),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {
        'train': self._generate_examples(range(100, 107)),
        'validation': self._generate_examples(range(200, 203)),
    }

  def _generate_examples(self, seeds):
    for seed in seeds:
      image = b'broken' if seed == 106 else jpeg(seed)
      yield seed, {'image': image, 'name': f'id/{seed}.jpg'}


def build_faces(data_dir) -> None:
  """Builds `toy_faces/wild`; the image id/106.jpg is broken."""
  tfds.disable_progress_bar()
  ToyFaces(data_dir=data_dir, config='wild').download_and_prepare(
      file_format='array_record'
  )


def build_toy(data_dir, config: str) -> None:
  """Builds one config of `Toy` into ArrayRecord files."""
  tfds.disable_progress_bar()
  Toy(data_dir=data_dir, config=config).download_and_prepare(
      file_format='array_record'
  )
