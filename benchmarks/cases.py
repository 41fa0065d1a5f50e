"""Configs, batches and datasets that several comparisons use."""

import pathlib
from typing import Any

import cv2
import numpy as np

DATASET = 's_aff_wild2'  # the layout of `write_corpus`
# Image sizes of some families; all others use 224, the size for ImageNet.
_SIZES = {
    'iresnet': 112,
    'mobilefacenet': 112,
    'mbf': 112,
    'ddamfn': 112,
    'mobilevit': 256,
    'mobilevitv2': 256,
}
# Of `write_faces`: number of videos and mean number of frames, standard deviation of
# camera noise in grey levels, and quality of the JPEG files.
_VIDEOS, _FRAMES = 16, 32
_GRAIN = 4.0
_QUALITY = 90

Config = dict[str, Any]
Batch = dict[str, np.ndarray]


def mae_config(batch_size: int, **model: Any) -> Config:
  """Returns the config of a MAE without augmentation.

  Args:
    batch_size: images per update.
    **model: values of the section `model`.
  """
  from abaw_jax.configs import mae

  return _plain(mae.get_config().to_dict(), batch_size, model)


# Networks of published ViTs, as sections `model`.
PUBLISHED_VITS = {
    'dinov2_b': {
        'patch_size': 14,
        'positions': 'learned',
        'layer_scale': True,
        'pool': 'cls',
    },
    'dinov3_b': {
        'positions': 'rotary',
        'num_registers': 4,
        'layer_scale': True,
        'norm_eps': 1e-5,
        'pool': 'cls',
    },
    'clip_b': {
        'positions': 'learned',
        'pre_norm': True,
        'activation': 'quick_gelu',
        'norm_eps': 1e-5,
        'pool': 'cls',
    },
    'siglip_b': {
        'positions': 'learned',
        'class_token': False,
        'activation': 'gelu_tanh',
        'pool': 'attention',
    },
}


def frame_config(backbone: str, batch_size: int, /, **model: Any) -> Config:
  """Returns the config of a frame model without augmentation.

  Args:
    backbone: name of the backbone, or a key of `PUBLISHED_VITS`.
    batch_size: images per update.
    **model: further values of the section `model`.
  """
  from abaw_jax.configs import convnet, frame
  from abaw_jax.models import zoo

  if backbone in PUBLISHED_VITS:
    model = PUBLISHED_VITS[backbone] | model
    backbone = f'vit_{backbone[-1]}'
  experiment = frame if backbone in zoo.VITS else convnet
  config = experiment.get_config().to_dict()
  size = _SIZES.get(backbone.split('_')[0], 224)
  model = {'backbone': backbone, 'image_size': size} | model
  if backbone in zoo.VITS:
    model = {'patch_size': 16, 'drop_path': 0.0} | model
    config['optim']['layer_decay'] = 1.0
  return _plain(config, batch_size, model)


def temporal_config(name: str, *, videos: int, window: int) -> Config:
  """Returns the config of a temporal model on consecutive windows.

  Args:
    name: 'mtl', 'mtl_lstm', 'mtl_gru' or 'mtl_transformer'.
    videos: videos per update.
    window: frames of a window.
  """
  from abaw_jax.configs import mtl, mtl_gru, mtl_lstm, mtl_transformer

  experiments = {
      'mtl': mtl,
      'mtl_lstm': mtl_lstm,
      'mtl_gru': mtl_gru,
      'mtl_transformer': mtl_transformer,
  }
  config = experiments[name].get_config().to_dict()
  config['data'] |= {
      'batching': 'stateful_videos', 'window': window, 'batch_size': videos
  }  # fmt: skip
  return config


def images(count: int, size: int) -> Batch:
  """Returns a batch of random images, uint8 [count, size, size, 3]."""
  shape = (count, size, size, 3)
  pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  return {'image': pixels, 'real': np.ones(count, bool)}


def labelled_images(count: int, size: int) -> Batch:
  """Returns a batch of random images that all have random labels."""
  rng = np.random.default_rng(1)
  return images(count, size) | labels(rng, (count,), labelled=1.0)


def windows(
    *, videos: int, frames: int, features: int, window: int
) -> list[Batch]:
  """Returns consecutive windows of random videos; 90 % of frames have labels.

  Args:
    videos: videos in a batch.
    frames: frames of each video, a multiple of `window`.
    features: width of the features.
    window: frames of a window.
  """
  rng = np.random.default_rng(0)
  shape = (videos, window)
  batches = []
  for start in range(0, frames, window):
    ids = np.arange(start, start + window, dtype=np.int32)
    batches.append(
        {
            'features': rng.standard_normal((*shape, features), np.float32),
            'frame_mask': np.ones(shape, bool),
            'frame_id': np.broadcast_to(ids, shape),
            'window_length': np.full(videos, window, np.int32),
            'start': np.full(videos, start == 0),
            'real': np.ones(videos, bool),
        }
        | labels(rng, shape, labelled=0.9)
    )
  return batches


def write_corpus(
    folder: pathlib.Path, *, videos: int, frames: int, workers: int
) -> list[pathlib.Path]:
  """Renders a corpus, builds its dataset, and returns the image files.

  Args:
    folder: receives `source/` and the dataset.
    videos: number of videos.
    frames: mean number of frames of a video.
    workers: processes that render.
  """
  from abaw_jax.data_builders import build
  from abaw_jax.data_builders.procedural import corpus

  source = folder / 'source'
  corpus.write(source, videos=videos, frames=frames, seed=0, workers=workers)
  build.build(
      DATASET, source_dir=source, data_dir=folder, configs=('sequences',)
  )
  return sorted(source.rglob('*.jpg'))


def write_faces(root: pathlib.Path, size: int) -> pathlib.Path:
  """Creates faces and the dataset `face_images/folders`, if they are missing.

  Faces of 112 pixels are procedural faces without changes. Larger faces are
  enlarged, with noise, so that they have the detail of photographs.

  Args:
    root: folder for all sizes.
    size: side of the faces in pixels.

  Returns:
    Folder of the dataset; its folder `files` has the images.
  """
  from abaw_jax.data_builders import build
  from abaw_jax.data_builders.procedural import corpus

  corpus.write(
      root / 'rendered', videos=_VIDEOS, frames=_FRAMES, seed=0, workers=2
  )
  folder = root / str(size)
  files = folder / 'files'
  if not files.exists():
    draft = folder / 'draft'
    draft.mkdir(parents=True, exist_ok=True)
    rendered = sorted((root / 'rendered').rglob('*.jpg'))
    for number, path in enumerate(rendered):
      image = path.read_bytes()
      if size != 112:
        image = _enlarged(image, size, number)
      (draft / f'{number:06d}.jpg').write_bytes(image)
    draft.rename(files)
  build.build(
      'face_images', source_dir=files, data_dir=folder, configs=('folders',)
  )
  return folder


def write_weights(folder: pathlib.Path, backbone: str, **model: Any):
  """Writes a folder of random weights and returns its backbone.

  Args:
    folder: the folder.
    backbone: key of `zoo.VITS`.
    **model: further values of the section `model`.
  """
  import jax

  from abaw_jax.checkpoints import weights
  from abaw_jax.configs import frame
  from abaw_jax.conversion import convert
  from abaw_jax.distributed import sharding
  from abaw_jax.models import zoo

  config = frame.get_config().to_dict()
  section = zoo.backbone_section(
      config['model'] | {'backbone': backbone} | model
  )
  rng = np.random.default_rng(0)
  shapes = convert.param_shapes(section)
  params = {
      sharding.path_name(path): rng.normal(0, 0.02, x.shape).astype(np.float32)
      for path, x in jax.tree_util.tree_leaves_with_path(shapes)
  }
  sections = {'model': section, 'augment': config['augment']}
  weights.write_folder(folder, params, sections, {})
  return zoo.make_backbone(section)


def _plain(config: Config, batch_size: int, model: Config) -> Config:
  """Returns a config of images with these values and without augmentation."""
  config['model'] |= model
  config['data']['batch_size'] = batch_size
  config['augment'] |= {'crop_scale': 1.0, 'flip': False}
  return config


def labels(rng, shape: tuple[int, ...], *, labelled: float) -> Batch:
  """Returns random labels for a share of the frames."""
  return {
      'valence': rng.uniform(-1, 1, shape).astype(np.float32),
      'arousal': rng.uniform(-1, 1, shape).astype(np.float32),
      'expression': rng.integers(0, 8, shape).astype(np.int32),
      'au': rng.integers(0, 2, (*shape, 12)).astype(np.int8),
      'va': rng.random(shape) < labelled,
      'expr': rng.random(shape) < labelled,
      'au_mask': np.repeat(rng.random((*shape, 1)) < labelled, 12, axis=-1),
  }


def _enlarged(encoded: bytes, size: int, seed: int) -> bytes:
  image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
  grain = np.random.default_rng(seed).normal(0.0, _GRAIN, image.shape)
  image = np.clip(np.round(image + grain), 0, 255).astype(np.uint8)
  options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
  return cv2.imencode('.jpg', image, options)[1].tobytes()
