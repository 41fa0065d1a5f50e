"""Sizes of all sections: for an accelerator, and for a quick test on a CPU."""

import dataclasses
from typing import Any

Model = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaeCase:
  """One train step of the MAE.

  Attributes:
    backbone: key of `zoo.VITS`.
    images: images per update and device.
    remat: value of `model.remat`.
    scan: value of `model.scan`.
    cudnn: value of `model.cudnn_attention`, which only NVIDIA GPUs use.
  """

  backbone: str
  images: int
  remat: str = 'none'
  scan: bool = False
  cudnn: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
  """Sizes of one report; lists start with the most important case.

  Attributes:
    mae: values of the section `model` in all MAEs.
    mae_cases: steps that are timed alone.
    compared: steps that are compared with PyTorch.
    models: names of the models in tests of correctness.
    parity: values of `model` of the MAE and the ViT in tests of correctness.
    iresnet: backbone and side in pixels, in tests of correctness.
    frames: backbone, images per update and further values of `model`.
    temporal: configs.
    videos: videos per update of temporal models.
    windows: frames of a window; the last one is a complete video.
    features: width of features.
    attention: name, images, tokens, heads and width of a head.
    layers: chained layers of attention that are timed.
    extraction: backbone, images per step and further values of `model`.
    corpus: number of videos, and mean number of their frames.
    rounds: timed rounds; figures are medians.
    repeats: calls in a round.
  """

  mae: Model
  mae_cases: tuple[MaeCase, ...]
  compared: tuple[MaeCase, ...]
  models: tuple[str, ...]
  parity: Model
  iresnet: tuple[str, int]
  frames: tuple[tuple[str, int, Model], ...]
  temporal: tuple[str, ...]
  videos: int
  windows: tuple[int, ...]
  features: int
  attention: tuple[tuple[str, int, int, int, int], ...]
  layers: int
  extraction: tuple[str, int, Model]
  corpus: tuple[int, int]
  rounds: int
  repeats: int


_VIT = {'image_size': 224, 'patch_size': 16, 'dtype': 'bfloat16'}

FULL = Sizes(
    mae=_VIT,
    mae_cases=(
        MaeCase(backbone='vit_b', images=256),
        MaeCase(backbone='vit_l', images=128, scan=True),
        MaeCase(backbone='vit_b', images=256, cudnn=True),
        MaeCase(backbone='vit_l', images=128),
        MaeCase(backbone='vit_l', images=128, cudnn=True),
        MaeCase(backbone='vit_l', images=256),
        MaeCase(backbone='vit_b', images=512),
        MaeCase(backbone='vit_l', images=512, remat='dots', scan=True),
        MaeCase(backbone='vit_b', images=1024, remat='dots', scan=True),
        MaeCase(backbone='vit_l', images=256, remat='dots'),
        MaeCase(backbone='vit_l', images=512, remat='all', scan=True),
    ),
    compared=(
        MaeCase(backbone='vit_b', images=256),
        MaeCase(backbone='vit_l', images=128),
    ),
    models=('MAE', 'ViT', 'IResNet', 'LSTM'),
    parity=_VIT | {'backbone': '', 'dim': 768, 'depth': 2, 'num_heads': 12},
    iresnet=('iresnet_18', 112),
    frames=(('vit_b', 256, {}), ('iresnet_50', 256, {})),
    temporal=('mtl_lstm', 'mtl'),
    videos=8,
    windows=(64, 256),
    features=1622,
    attention=(
        ('MAE encoder, ViT-B', 256, 50, 12, 64),
        ('MAE decoder', 256, 197, 16, 32),
        ('ViT-B', 256, 197, 12, 64),
    ),
    layers=8,
    extraction=('vit_b', 256, _VIT),
    corpus=(64, 128),
    rounds=5,
    repeats=10,
)

_NANO = {'image_size': 32, 'patch_size': 8, 'dtype': 'bfloat16'}
_DECODER = {'decoder_dim': 32, 'decoder_depth': 1, 'decoder_num_heads': 2}

SMOKE = Sizes(
    mae=_NANO | _DECODER,
    mae_cases=(MaeCase(backbone='vit_nano', images=8),),
    compared=(MaeCase(backbone='vit_nano', images=8),),
    models=('MAE', 'LSTM'),
    parity=_NANO | {'backbone': 'vit_nano'},
    iresnet=('iresnet_nano', 32),
    frames=(('vit_nano', 8, {'image_size': 32}),),
    temporal=('mtl_lstm',),
    videos=2,
    windows=(8,),
    features=16,
    attention=(('MAE', 2, 5, 2, 8),),
    layers=2,
    extraction=('vit_nano', 8, _NANO),
    corpus=(3, 8),
    rounds=1,
    repeats=1,
)
