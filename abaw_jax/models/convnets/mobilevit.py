"""MobileViT and MobileViT-V2 of Apple, with the sizes and names of timm.

Apple's weights expect RGB images of 256 x 256 pixels with values from 0 to 1.
HSE-NN's `mobilevit_va_mtl` is a `mobilevitv2_150` that expects 224 x 224 pixels,
mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225). Other sizes work too.
References: Mehta and Rastegari, arXiv 2110.02178 and (V2) arXiv 2206.02680.
"""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet, mobilevit_blocks
from abaw_jax.models.layers import convolutions

_V1 = {'stem_width': 16, 'layers': (1, 3, 2, 2, 2), 'separable': False}
SIZES = {
    'mobilevit_xxs': _V1 | {
        'widths': (16, 24, 48, 64, 80), 'expand': 2, 'dims': (64, 80, 96),
        'head_width': 320,
    },
    'mobilevit_xs': _V1 | {
        'widths': (32, 48, 64, 80, 96), 'expand': 4, 'dims': (96, 120, 144),
        'head_width': 384,
    },
    'mobilevit_s': _V1 | {
        'widths': (32, 64, 96, 128, 160), 'expand': 4, 'dims': (144, 192, 240),
        'head_width': 640,
    },
} | {
    f'mobilevitv2_{percent:03}': {
        'stem_width': 32 * percent // 100,
        'layers': (1, 2, 2, 2, 2),
        'separable': True,
        'widths': tuple(x * percent // 100 for x in (64, 128, 256, 384, 512)),
        'expand': 2,
        'dims': tuple(x * percent // 100 for x in (128, 192, 256)),
        'head_width': 0,
    }
    for percent in (50, 75, 100, 125, 150, 175, 200)
}  # fmt: skip
DEPTHS = (2, 4, 3)  # transformer blocks in each of the last stages


class MobileViT(convnet.ConvNet):
  """MobileViT or MobileViT-V2.

  Attributes:
    stem_width: channels of the stem.
    layers: blocks per stage; the last block of the last three is a transformer.
    widths: channels of the stages.
    expand: width inside the inverted residual blocks / their input width.
    dims: widths of the transformers.
    head_width: channels of the final map; 0 keeps the map of the last stage.
    separable: whether it is MobileViT-V2.
    depths: blocks of the transformers.
  """

  stem_width: int
  layers: tuple[int, ...]
  widths: tuple[int, ...]
  expand: int
  dims: tuple[int, ...]
  head_width: int
  separable: bool
  depths: tuple[int, ...] = DEPTHS
  image_size: int = 256

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return self.head_width or self.widths[-1]

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    options = {'stride': 2}
    x = self.conv_norm(x, self.stem_width, 3, 'stem', 0, train, **options)
    return nn.silu(x)

  def block(self, stage: int, i: int, options: dict[str, Any]) -> convnet.Block:
    """Returns block `i` of a stage."""
    j = self._transformer(stage, i)
    if j is not None:
      sizes = self.dims[j], self.depths[j], self.separable
      return mobilevit_blocks.MobileViTBlock(*sizes, **options)
    stride = _stride(stage, i)
    return mobilevit_blocks.InvertedResidual(
        self.widths[stage - 1], stride, self.expand, **options
    )

  def head(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the final map."""
    if not self.head_width:
      return x
    stage = len(self.layers) + 1
    return nn.silu(self.conv_norm(x, self.head_width, 1, 'head', stage, train))

  def _transformer(self, stage, i):
    """Returns the index of the transformer in a block, or None."""
    first = len(self.layers) - len(self.dims)
    is_last = i == self.layers[stage - 1] - 1
    return stage - 1 - first if stage > first and is_last else None

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image, with products of the attention."""
    width = self.stem_width
    side, total = convolutions.flops(self.image_size, 3, width, 3, 2)
    for stage, count in enumerate(self.layers, start=1):
      for i in range(count):
        j = self._transformer(stage, i)
        if j is not None:
          side, more = self._transformer_flops(side, width, j)
          total += more
          continue
        inner, out = self.expand * width, self.widths[stage - 1]
        total += convolutions.flops(side, width, inner, 1)[1]
        stride = _stride(stage, i)
        side, middle = convolutions.flops(side, 1, inner, 3, stride)
        total += middle + convolutions.flops(side, inner, out, 1)[1]
        width = out
    if self.head_width:
      total += convolutions.flops(side, width, self.head_width, 1)[1]
    return total

  def _transformer_flops(self, side, width, j):
    """Returns (side of the output map, FLOPs) of a MobileViTBlock."""
    dim, even = self.dims[j], side + side % 2
    mlp = 2 * mobilevit_blocks.MLP_RATIO * dim * dim
    if self.separable:
      side = even
      around = convolutions.flops(side, 1, width, 3)[1]
      block = 2 * even * even * (dim * (2 * dim + 1) + dim * dim + mlp)
    else:
      around = convolutions.flops(side, width, width, 3)[1]
      around += convolutions.flops(side, 2 * width, width, 3)[1]
      tokens = even * even // 4
      block = 2 * even * even * (4 * dim * dim + mlp) + 16 * tokens**2 * dim
    around += 2 * convolutions.flops(side, width, dim, 1)[1]
    return side, around + self.depths[j] * block


def _stride(stage: int, i: int) -> int:
  return 2 if stage > 1 and i == 0 else 1
