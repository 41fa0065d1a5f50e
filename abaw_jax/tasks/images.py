"""What tasks of single images share."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import cv2
from flax import linen as nn
from jaxtyping import Array, Real
import numpy as np

from abaw_jax.augmentation import augment
from abaw_jax.data import images, memory, pipeline, transforms
from abaw_jax.models import convnet_zoo, zoo
from abaw_jax.models.layers import variables
from abaw_jax.tasks import task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageTask(task.Task):
  """A task whose batches hold `image`, uint8 [b, h, w, 3].

  Attributes:
    augmentation: of the images, on the device.
  """

  augmentation: augment.Augmentation

  @classmethod
  def from_config(cls, config: Mapping[str, Any]) -> task.Task:
    model = cls.make_model(config['model'])
    decoding(config)  # wrong values fail here
    if _keeps_statistics(config):
      model = model.clone(backbone=convnet_zoo.freeze(model.backbone))
    return cls(
        config=config,
        model=model,
        augmentation=augment.Augmentation(
            size=config['model']['image_size'], **config['augment']
        ),
        **cls.options(config),
    )

  @classmethod
  def make_model(cls, section: Mapping[str, Any]) -> nn.Module:
    """Returns the network of a `model` section."""
    return zoo.make_model(**section)

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that a subclass adds, from a config."""
    del config
    return {}

  def transform(self, *, train: bool = False) -> pipeline.Transform:
    del train
    return functools.partial(transforms.image_batch, **decoding(self.config))

  def in_memory(
      self, source: Any, *, shard_index: int = 0, shard_count: int = 1
  ) -> memory.DecodedImages:
    decode = functools.partial(
        transforms.decoded_columns, **decoding(self.config)
    )
    if shard_count == 1:
      return memory.DecodedImages(source, decode)
    return memory.DecodedImages(
        source,
        decode,
        batch_size=self.config['data']['batch_size'],
        shard_index=shard_index,
        shard_count=shard_count,
    )

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    del feature_dim
    size = face_size(self.config)
    _, jpeg = cv2.imencode('.jpg', np.zeros((size, size, 3), np.uint8))
    return {'image': jpeg.tobytes()}

  def init(self, key, batch):
    images = self.augmentation.evaluate(batch['image'][:1])
    return variables.init(self.model, key, images)

  @property
  def num_blocks(self) -> int:
    section = self.config['model']
    if 'backbone' not in section or zoo.is_convnet(section):
      return 0
    return zoo.make_backbone(section).depth

  def evaluate(
      self, params: task.Params, images: Real[Array, 'b h w 3']
  ) -> dict[str, Array]:
    """Returns the outputs of the model for images in [0, 255], without dropout."""
    images = self.augmentation.evaluate(images)
    output, _ = variables.apply(self.model, params, images, train=False)
    return output


def face_size(config: Mapping[str, Any]) -> int:
  """Returns the side in pixels of the images that reach the device."""
  size = config['data']['face_size'] if 'data' in config else 0
  return size or config['model']['image_size']


def decoding(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the options of `data.transforms` for the images of a config.

  Raises:
    InputError: `augment.fit` or `augment.filter` is unknown.
  """
  return {
      'image_size': face_size(config),
      'resizing': images.Resizing.from_config(config['augment']),
  }


def _keeps_statistics(config: Mapping[str, Any]) -> bool:
  """Returns whether a frozen backbone has statistics that must not move."""
  return (
      'optim' in config
      and zoo.is_convnet(config['model'])
      and config['optim']['freeze'] == 'backbone'
      and not config['optim'].get('move_frozen_statistics')
  )
