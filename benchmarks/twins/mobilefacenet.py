"""Reference MobileFaceNet in PyTorch with the names of its projects."""

import collections

import torch
from torch import nn

# Channels of the map, inside the first block and inside the other blocks.
STAGES = ((64, 128, 128), (128, 256, 256), (128, 512, 256))


class Nested(nn.Module):
  """A sequence under a name of its own."""

  def __init__(self, name: str, *modules: nn.Module):
    super().__init__()
    self.sequence = name
    self.add_module(name, nn.Sequential(*modules))

  def forward(self, x):
    return self.get_submodule(self.sequence)(x)


def unit(
    width: int,
    out_width: int,
    size: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    padding: int = 0,
    linear: bool = False,
    numbered: bool = False,
) -> nn.Module:
  """Returns convolution, norm and, unless it is linear, PReLU."""
  layers = {
      'conv': nn.Conv2d(
          width, out_width, size, stride, padding, groups=groups, bias=False
      ),
      'bn': nn.BatchNorm2d(out_width),
      'prelu': nn.PReLU(out_width),
  }
  if linear:
    del layers['prelu']
  if numbered:
    return Nested('layers', *layers.values())
  return nn.Sequential(collections.OrderedDict(layers))


class Block(nn.Module):
  """Expansion, depthwise convolution and projection."""

  def __init__(self, width, out_width, inner, stride, numbered):
    super().__init__()
    self.has_shortcut = stride == 1
    options = {'stride': stride, 'groups': inner, 'padding': 1}
    parts = {
        'conv': unit(width, inner, 1, numbered=numbered),
        'conv_dw': unit(inner, inner, 3, **options, numbered=numbered),
        'project': unit(inner, out_width, 1, linear=True, numbered=numbered),
    }
    if numbered:
      self.layers = nn.Sequential(*parts.values())
    else:
      for name, part in parts.items():
        self.add_module(name, part)

  def forward(self, x):
    y = x
    for part in self.layers if 'layers' in self._modules else self.children():
      y = part(y)
    return x + y if self.has_shortcut else y


class MobileFaceNet(nn.Module):
  """Returns the feature map of every stage and the embedding by our names.

  With `insightface` it has the names of arcface_torch, otherwise those of
  InsightFace_Pytorch and face.evoLVe. `layers` has the blocks of each stage.
  """

  def __init__(
      self,
      layers: tuple[int, ...],
      scale: int,
      image_size: int,
      dim: int = 512,
      *,
      insightface: bool = False,
      classes: int = 0,
  ):
    super().__init__()
    numbered = {'numbered': insightface}
    width = 64 * scale
    parts = [
        unit(3, width, 3, stride=2, padding=1, **numbered),
        unit(width, width, 3, groups=64, padding=1, **numbered),
    ]
    for count, (out_width, first, inner) in zip(layers, STAGES, strict=True):
      out = scale * out_width
      parts.append(Block(width, out, first, 2, insightface))
      blocks = [
          Block(out, out, inner, 1, insightface) for _ in range(count - 1)
      ]
      parts.append(Nested('layers' if insightface else 'model', *blocks))
      width = out
    head = unit(width, 512, 1, **numbered)
    options = {'groups': 512, 'linear': True} | numbered
    depthwise = unit(512, 512, image_size // 16, **options)
    linear, norm = nn.Linear(512, dim, bias=False), nn.BatchNorm1d(dim)
    if insightface:
      self.layers = nn.ModuleList(parts)
      self.conv_sep = head
      flatten = nn.Flatten()
      self.features = Nested('layers', depthwise, flatten, linear, norm)
    else:
      names = (
          'conv1', 'conv2_dw', 'conv_23', 'conv_3', 'conv_34', 'conv_4',
          'conv_45', 'conv_5',
      )  # fmt: skip
      for name, part in zip(names, parts, strict=True):
        self.add_module(name, part)
      self.conv_6_sep, self.conv_6_dw = head, depthwise
      self.linear, self.bn = linear, norm
    if classes:
      self.fc = nn.Linear(dim, classes)
    self.insightface = insightface

  def forward(self, x) -> dict[str, torch.Tensor]:
    if self.insightface:
      parts, head, last = self.layers, self.conv_sep, [self.features]
    else:
      *parts, head = list(self.children())[:9]
      last = [self.conv_6_dw, nn.Flatten(), self.linear, self.bn]
    maps = {}
    for i, part in enumerate(parts):
      x = part(x)
      if i % 2:
        maps[f'stage{i // 2}' if i > 1 else 'stem'] = x
    x = maps['map'] = head(x)
    for part in last:
      x = part(x)
    maps['embedding'] = x
    return maps | ({'logits': self.fc(x)} if 'fc' in self._modules else {})
