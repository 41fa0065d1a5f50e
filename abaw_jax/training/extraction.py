"""Features of every frame of a dataset, computed once with a trained backbone."""

from collections.abc import Callable
import functools
import itertools
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from abaw_jax.data import features, sources, transforms
from abaw_jax.models import zoo
from abaw_jax.training import augment, inputs, runs, sharding, steps, weights


def extract(
    *,
    init_from: pathlib.Path,
    data_dir: pathlib.Path,
    dataset: str,
    name: str,
    batch_size: int,
) -> None:
  """Writes `<data_dir>/<dataset>_features/<name>`, one vector per frame.

  Args:
    init_from: workdir of a run of `mae` or `frame`, whose best weights are used,
      or a folder of weights.
    data_dir: folder of all built datasets.
    dataset: which of them; its `sequences` config is read.
    name: name of the new set of features.
    batch_size: images per step, over all devices.

  Raises:
    InputError: if there is no such run or dataset, an image is corrupt, or
      features of another checkpoint have this name already.
  """
  config = runs.read_config(init_from)
  model = zoo.make_backbone(config['model'])
  mesh = sharding.make_mesh(fsdp=1)
  sharding.check_batch(batch_size, mesh, '--batch_size')
  with jax.set_mesh(mesh):
    params, origin = weights.load_backbone(
        init_from, config['model'], _backbone_shapes(model, mesh)
    )
    augmentation = augment.Augmentation(
        size=model.image_size, **config['augment']
    )
    embed_step = steps.jit_embed_step(model, augmentation, mesh)
    # Weights without a run say nothing about the images that they were fed.
    face_size = (
        inputs.face_size(config) if 'data' in config else model.image_size
    )
    card = origin | {
        'model': config['model'],
        'mean': config['augment']['mean'],
        'std': config['augment']['std'],
        'face_size': face_size,
        'color_order': 'RGB',
    }
    writer = features.FeatureWriter(
        data_dir, dataset, name, dim=model.dim, card=card, records_per_shard=512
    )
    if writer.finished:
      print(f'{name}: these features are there already', flush=True)
      return
    embed = functools.partial(
        _embed, functools.partial(embed_step, params), mesh, batch_size
    )
    with writer:
      for split in sources.split_names(data_dir, dataset, 'sequences'):
        records = sources.Records(data_dir, dataset, 'sequences', split)
        _extract_split(records, split, embed, writer, face_size)


def _backbone_shapes(model, mesh) -> Any:
  """Returns the backbone's parameters as shapes, whole on every device."""
  images = jnp.zeros((1, model.image_size, model.image_size, 3))
  shapes = jax.eval_shape(
      functools.partial(model.init, train=False), jax.random.key(0), images
  )['params']
  everywhere = sharding.replicated(mesh)
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      shapes,
  )


def _extract_split(
    records: sources.Records,
    split: str,
    embed: Callable[[np.ndarray], np.ndarray],
    writer: features.FeatureWriter,
    face_size: int,
) -> None:
  """Embeds and writes all records of a split, a few at a time."""
  decode = functools.partial(transforms.decode_record, image_size=face_size)
  decoded = iter(grain.MapDataset.source(records).map(decode).to_iter_dataset())
  with tqdm.tqdm(total=records.num_rows, desc=split, unit='frame') as bar:
    # A handful of records fills batches and bounds memory.
    while group := list(itertools.islice(decoded, 8)):
      vectors = embed(np.concatenate([record['image'] for record in group]))
      ends = np.cumsum([len(record['image']) for record in group])
      for record, part in zip(group, np.split(vectors, ends[:-1]), strict=True):
        writer.write(split, record | {'features': part})
      bar.update(len(vectors))


def _embed(step, mesh, batch_size: int, images: np.ndarray) -> np.ndarray:
  """Returns the embedding [n, d] of n uint8 images, in batches of one size."""
  split = sharding.over_batch(mesh)
  padding = -len(images) % batch_size
  images = np.concatenate(
      [images, np.zeros((padding, *images.shape[1:]), images.dtype)]
  )
  batches = np.split(images, len(images) // batch_size)
  vectors = [step(jax.device_put(batch, split)) for batch in batches]
  vectors = np.concatenate(jax.device_get(vectors))
  return vectors[: len(vectors) - padding].astype(np.float32)
