"""Reference EfficientNet in PyTorch with timm's names."""

import math

import torch
from torch import nn
from torch.nn import functional

# Kernel size, stride, expansion, channels and number of blocks of each stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def scale(width: int, factor: float) -> int:
  eighths = max(1, math.floor(width * factor / 8 + 0.5))
  return 8 * eighths if 8 * eighths >= 0.9 * width * factor else 8 * eighths + 8


class Conv2dSame(nn.Conv2d):
  """Convolution with ceil(n / stride) outputs; an odd zero comes last."""

  def forward(self, x):
    pads = []
    for n, size, stride in zip(
        x.shape[:1:-1], self.kernel_size, self.stride, strict=True
    ):
      lacking = max((math.ceil(n / stride) - 1) * stride + size - n, 0)
      pads += [lacking // 2, lacking - lacking // 2]
    return super().forward(functional.pad(x, pads))


def conv(width, out_width, size, stride=1, groups=1):
  return Conv2dSame(width, out_width, size, stride, groups=groups, bias=False)


def norm(width):
  return nn.BatchNorm2d(width, eps=1e-3)


class SqueezeExcite(nn.Module):

  def __init__(self, width: int, squeezed: int):
    super().__init__()
    self.conv_reduce = nn.Conv2d(width, squeezed, 1)
    self.act1 = nn.SiLU(inplace=True)
    self.conv_expand = nn.Conv2d(squeezed, width, 1)
    self.gate = nn.Sigmoid()

  def forward(self, x):
    y = self.act1(self.conv_reduce(x.mean((2, 3), keepdim=True)))
    return x * self.gate(self.conv_expand(y))


class DepthwiseSeparable(nn.Module):

  def __init__(self, width, out_width, size, stride):
    super().__init__()
    self.conv_dw = conv(width, width, size, stride, groups=width)
    self.bn1 = norm(width)
    self.se = SqueezeExcite(width, width // 4)
    self.conv_pw = conv(width, out_width, 1)
    self.bn2 = norm(out_width)
    self.has_skip = stride == 1 and width == out_width

  def forward(self, x):
    y = self.se(functional.silu(self.bn1(self.conv_dw(x))))
    y = self.bn2(self.conv_pw(y))
    return x + y if self.has_skip else y


class InvertedResidual(nn.Module):

  def __init__(self, width, out_width, size, stride, expand):
    super().__init__()
    inner = width * expand
    self.conv_pw = conv(width, inner, 1)
    self.bn1 = norm(inner)
    self.conv_dw = conv(inner, inner, size, stride, groups=inner)
    self.bn2 = norm(inner)
    self.se = SqueezeExcite(inner, width // 4)
    self.conv_pwl = conv(inner, out_width, 1)
    self.bn3 = norm(out_width)
    self.has_skip = stride == 1 and width == out_width

  def forward(self, x):
    y = functional.silu(self.bn1(self.conv_pw(x)))
    y = self.se(functional.silu(self.bn2(self.conv_dw(y))))
    y = self.bn3(self.conv_pwl(y))
    return x + y if self.has_skip else y


class EfficientNet(nn.Module):
  """Returns the feature map of every stage and the embedding by our names."""

  def __init__(self, width=1.0, depth=1.0, stages=STAGES, classes=0):
    super().__init__()
    channels = scale(32, width)
    self.conv_stem = conv(3, channels, 3, 2)
    self.bn1 = norm(channels)
    self.blocks = nn.Sequential()
    for size, stride, expand, out_width, count in stages:
      blocks = nn.Sequential()
      for i in range(math.ceil(count * depth)):
        sizes = channels, scale(out_width, width), size, 1 if i else stride
        if expand == 1:
          blocks.append(DepthwiseSeparable(*sizes))
        else:
          blocks.append(InvertedResidual(*sizes, expand))
        channels = sizes[1]
      self.blocks.append(blocks)
    dim = scale(1280, width)
    self.conv_head = conv(channels, dim, 1)
    self.bn2 = norm(dim)
    self.global_pool = nn.AdaptiveAvgPool2d(1)
    self.classifier = nn.Linear(dim, classes) if classes else nn.Identity()

  def forward(self, x) -> dict[str, torch.Tensor]:
    maps = {'stem': functional.silu(self.bn1(self.conv_stem(x)))}
    x = maps['stem']
    for stage, blocks in enumerate(self.blocks, start=1):
      x = maps[f'stage{stage}'] = blocks(x)
    maps['map'] = functional.silu(self.bn2(self.conv_head(x)))
    maps['embedding'] = self.global_pool(maps['map']).flatten(1)
    if isinstance(self.classifier, nn.Identity):
      return maps
    return maps | {'logits': self.classifier(maps['embedding'])}
