"""The feature extractor: a trained model and the outputs that are features."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import UInt8
import numpy as np

from abaw_jax.augmentation import augment, test_time_augmentation
from abaw_jax.checkpoints import parameters, runs, weights
from abaw_jax.core import errors, files
from abaw_jax.data import images as image_files
from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.steps import steps
from abaw_jax.tasks import images, registry

OUTPUTS = ('embedding', 'logits', 'both')


@dataclasses.dataclass(frozen=True)
class Embedder:
  """A model with its weights.

  Attributes:
    model: function from normalised images to outputs by name.
    params: its weights, on their mesh.
    augmentation: resizes and normalises.
    outputs: names of the outputs that are concatenated to the features.
    crops: views of an image that are averaged, one of `views.COUNTS`.
    decoding: options of `data.transforms` for the images that reach the device.
    window: frames of one input of a video network, (t,); () for single images.
    card: origin and preprocessing of the features, as JSON.
  """

  model: Any
  params: Any
  augmentation: augment.Augmentation
  outputs: tuple[str, ...]
  crops: int
  decoding: dict[str, Any]
  card: dict[str, Any]
  window: tuple[int, ...] = ()

  def jit(self, mesh: jax.sharding.Mesh):
    """Returns the jitted function from (weights, uint8 images) to features."""
    return steps.jit_embed_step(
        self.model,
        self.augmentation,
        mesh,
        outputs=self.outputs,
        crops=self.crops,
    )

  def squares(
      self, images: UInt8[np.ndarray, 'b h w 3']
  ) -> UInt8[np.ndarray, 'b s s 3']:
    """Returns images as the host prepares them for the device."""
    size, resizing = self.decoding['image_size'], self.decoding['resizing']
    faces = [
        image_files.square(x, size=size, resizing=resizing) for x in images
    ]
    return np.stack(faces)

  @property
  def dim(self) -> int:
    """Width of the features."""
    size = self.decoding['image_size']
    image = jax.ShapeDtypeStruct((1, *self.window, size, size, 3), jnp.uint8)
    embed = functools.partial(
        steps.embed_step,
        model=self.model,
        augmentation=self.augmentation,
        outputs=self.outputs,
        crops=self.crops,
    )
    return jax.eval_shape(embed, self.params, image).shape[-1]


def load(
    init_from: files.Path,
    mesh: jax.sharding.Mesh,
    *,
    output: str = 'embedding',
    pool: str = '',
    crops: int = 1,
    span: str = '',
) -> Embedder:
  """Returns the feature extractor with a run's best weights, or converted ones.

  Args:
    init_from: workdir of a run of `mae` or `frame`, or a folder of weights.
    mesh: of the weights; every device holds all of them.
    output: 'embedding' of the backbone, 'logits' of the heads (for a frame model
      valence, arousal, 8 expressions and 12 action units), or 'both', in this
      order.
    pool: of a ViT, a key of `zoo.POOLS`; '' = as in training.
    crops: views of an image that are averaged.
    span: of a video network, one of `video_vit.SPANS`; '' = its tubelet.

  Raises:
    InputError: there are no such weights, or they have no such output.
  """
  config = runs.read_config(init_from)
  section = zoo.without_lora(config['model'])
  if pool:
    section |= _pooled(section, pool)
  if span:
    section['span'] = span
  if crops not in test_time_augmentation.COUNTS:
    raise errors.InputError(
        f'--crops={crops}: choose one of {", ".join(map(str, test_time_augmentation.COUNTS))}'
    )
  logits = ()
  if output != 'embedding':
    logits = registry.task_class(config).feature_outputs(section)
  if output != 'embedding' and not logits:
    raise errors.InputError(
        f'--output={output}: {init_from} holds no classifier and no heads; '
        'extract its embedding, or name a frame model'
    )
  if not logits:
    section = zoo.backbone_section(section)
  model = zoo.make_model(**section)
  shapes = _shapes(model, section, mesh)
  with jax.set_mesh(mesh):
    if logits:
      params, origin = weights.load(init_from, section, shapes)
    else:
      params, origin = weights.load_backbone(init_from, section, shapes)
  if 'run' in origin:  # a run of this name may be trained again
    origin['sha256'] = parameters.checksum(params)
  card = origin | {
      'model': section,
      'output': output,
      'crops': crops,
      'mean': config['augment']['mean'],
      'std': config['augment']['std'],
      'color_order': 'RGB',
  }
  size = section['image_size']
  decoding = images.decoding(config)
  embedding = ('embedding',) if output != 'logits' else ()
  return Embedder(
      model=model,
      params=params,
      augmentation=augment.Augmentation(size=size, **config['augment']),
      outputs=embedding + logits,
      crops=crops,
      decoding=decoding,
      window=zoo.input_shape(section)[:-3],
      card=card
      | {'face_size': decoding['image_size']}
      | decoding['resizing']._asdict(),
  )


def _pooled(section: Mapping[str, Any], pool: str) -> dict[str, str]:
  """Returns the change of a `model` section for another pooling."""
  if zoo.is_convnet(section):
    raise errors.InputError(
        f'--pool={pool}: {section["backbone"]} has no tokens to pool; '
        'leave it out'
    )
  ours = section.get('pool')
  if ours in ('attention', 'mean_raw'):
    reason = 'pool by attention' if ours == 'attention' else 'have no norm'
    raise errors.InputError(
        f'--pool={pool}: these weights {reason}; leave it out'
    )
  return {'pool': pool}


def _shapes(model, section, mesh) -> Any:
  """Returns the shapes of the weights, with all of them on every device."""
  image = jax.ShapeDtypeStruct((1, *zoo.input_shape(section)), jnp.float32)
  shapes = jax.eval_shape(
      functools.partial(variables.init, model), jax.random.key(0), image
  )
  everywhere = sharding.replicated(mesh)
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      shapes,
  )
