"""A run, a file of predictions and a predicted clip, made without a model."""

import json
import pathlib

import numpy as np
from PIL import Image
import pyarrow as pa
from pyarrow import parquet

from abaw_jax import video
from abaw_jax.core import labels
from abaw_jax.scoring import prediction_files, predictions

RATE = 10  # frames per second
FRAMES = 40
FACES = {0: range(FRAMES), 1: [*range(10), *range(30, FRAMES)]}


def make_predictions(seed: int, n: int = 240) -> predictions.Predictions:
  """Returns predictions of 4 videos; some labels are missing."""
  rng = np.random.default_rng(seed)
  probs = rng.dirichlet(np.ones(8), n)
  masks = rng.random([3, n]) > 0.2
  return predictions.Predictions(
      video=np.repeat([f'video{i}' for i in range(4)], n // 4),
      frame_id=np.tile(np.arange(n // 4) * 3, 4),
      row=np.arange(n),
      valence=rng.normal(0, 0.5, n),
      arousal=rng.normal(0.2, 0.3, n),
      expression=probs,
      au=rng.random([n, 12]),
      target_valence=rng.uniform(-1, 1, n),
      target_arousal=rng.uniform(-1, 1, n),
      target_expression=rng.integers(0, 8, n),
      target_au=rng.integers(0, 2, [n, 12]).astype(np.int8),
      va=masks[0],
      expr=masks[1],
      au_mask=np.repeat(masks[2][:, None], 12, axis=1),
  )


def write_run(workdir: pathlib.Path, rows: predictions.Predictions) -> None:
  """Writes what `train` and `evaluate` leave in a workdir."""
  for folder in ('predictions', 'plots'):
    (workdir / folder).mkdir(parents=True)
  data = {'name': 's_aff_wild2', 'dir': str(workdir / 'no_data')}
  config = {'model': {'name': 'mtl'}, 'data': data}
  (workdir / 'config.json').write_text(json.dumps(config))
  lines = []
  for step in range(1, 2001):
    line = {
        'loss': 5 / step,
        'items_per_s': 100.0 + step % 7,
        'data_wait': 0.25,
    }
    lines.append({'step': step, 'split': 'train'} | line)
  lines.append({'step': 2000, 'split': 'validation'} | rows.scores())
  times = {
      'goodput': 0.5,
      'wall_s': 7200.0,
      'steps_s': 3600.0,
      'init_s': 3600.0,
  }
  lines.append({'step': 2000, 'split': 'goodput'} | times)
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (workdir / 'metrics.jsonl').write_text(text.replace('NaN', 'null'))
  prediction_files.write(workdir / 'predictions' / 'validation.npz', rows)
  for step in (10, 20, 30):
    picture = Image.new('RGB', (300, 100), (step, 90, 60))
    picture.save(workdir / 'plots' / f'reconstruction_{step}.png')


def write_clip(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """Writes a table, its schema and the clip; returns the columns of the table."""
  folder.mkdir()
  rng = np.random.default_rng(5)
  face = np.repeat([*FACES], [len(frames) for frames in FACES.values()])
  frame = np.concatenate([np.asarray(frames) for frames in FACES.values()])
  columns = {
      'frame': frame,
      'timestamp': frame / RATE,
      'face_id': face,
      'valence': rng.uniform(-1, 1, len(frame)),
      'arousal': rng.uniform(-1, 1, len(frame)),
  }
  names = [f'expr_{name}' for name in labels.EXPRESSIONS]
  probs = rng.dirichlet(np.ones(8), len(frame))
  columns |= dict(zip(names, probs.T, strict=True))
  units = rng.random([len(frame), 12])
  columns |= dict(zip(labels.AU_NAMES, units.T, strict=True))
  parquet.write_table(pa.table(columns), folder / 'clip.parquet')
  source = folder / 'source.webm'
  schema = {'clip': {'source': str(source)}, 'model': {'name': 'a </script>'}}
  (folder / 'clip.schema.json').write_text(json.dumps(schema))
  with video.WebmWriter(source, RATE) as writer:
    for i in range(FRAMES):
      writer.add(np.full([48, 64, 3], 6 * i, np.uint8), i / RATE)
  return columns
