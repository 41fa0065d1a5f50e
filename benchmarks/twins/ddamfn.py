"""Reference DDAMFN++ in PyTorch with the names of its project."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.twins import mobilefacenet

# By stage: channels of the map; inside the first block, with sides of kernels and
# their channels; the same for the other blocks.
STAGES = (
    (64, 128, (3, 5, 7), (64, 32, 32), 128, (3, 5), (96, 32)),
    (128, 256, (3, 5, 7), (128, 64, 64), 256, (3, 5), (192, 64)),
    (256, 1024, (3, 5, 7, 9), (256,) * 4, 512, (3, 5, 7), (172, 170, 170)),
)


class CoordinateAttention(nn.Module):
  """Weights of rows and columns; `side` is that of a map with learned sums."""

  def __init__(self, width: int, side: int = 0):
    super().__init__()
    if side:
      options = {'groups': width, 'linear': True}
      self.Linear_h = mobilefacenet.unit(width, width, (1, side), **options)
      self.Linear_w = mobilefacenet.unit(width, width, (side, 1), **options)
    self.learned = side > 0
    inner = max(8, width // 32)
    self.conv1 = nn.Conv2d(width, inner, 1)
    self.bn1 = nn.BatchNorm2d(inner)
    self.conv2 = nn.Conv2d(inner, width, 1)
    self.conv3 = nn.Conv2d(inner, width, 1)
    if side:
      self.Linear = mobilefacenet.unit(width, width, side, **options)  # unused

  def forward(self, x):
    if self.learned:
      rows, columns = self.Linear_h(x), self.Linear_w(x)
    else:
      rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True)
    y = torch.cat([rows, columns.transpose(2, 3)], dim=2)
    y = functional.hardswish(self.bn1(self.conv1(y)))
    rows, columns = y.split(x.shape[2:], dim=2)
    columns = self.conv3(columns.transpose(2, 3)).sigmoid()
    return columns * self.conv2(rows).sigmoid()


class MixedConvolution(nn.Module):
  """Depthwise convolutions of several sizes, each on a part of the channels."""

  def __init__(self, sizes, widths, stride):
    super().__init__()
    self.widths = widths
    self.mixed_depthwise_conv = nn.ModuleList(
        nn.Conv2d(w, w, k, stride, k // 2, groups=w, bias=False)
        for k, w in zip(sizes, widths, strict=True)
    )
    self.bn = nn.BatchNorm2d(sum(widths))  # unused
    self.prelu = nn.PReLU(sum(widths))  # unused

  def forward(self, x):
    parts = zip(
        self.mixed_depthwise_conv, x.split(self.widths, dim=1), strict=True
    )
    return torch.cat([conv(part) for conv, part in parts], dim=1)


class Block(nn.Module):

  def __init__(self, width, out_width, inner, sizes, widths, stride):
    super().__init__()
    self.has_shortcut = stride == 1
    self.conv = mobilefacenet.unit(width, inner, 1)
    self.conv_dw = MixedConvolution(sizes, widths, stride)
    self.CA = CoordinateAttention(inner)
    self.project = mobilefacenet.unit(inner, out_width, 1, linear=True)

  def forward(self, x):
    y = self.conv_dw(self.conv(x))
    y = self.project(y * self.CA(y))
    return x + y if self.has_shortcut else y


class DDAMFN(nn.Module):
  """Returns the feature map of every stage and the embedding by our names."""

  def __init__(
      self,
      layers: tuple[int, ...],
      image_size: int,
      num_heads: int = 2,
      classes: int = 0,
  ):
    super().__init__()
    unit = mobilefacenet.unit
    parts = [
        unit(3, 64, 3, stride=2, padding=1),
        unit(64, 64, 3, groups=64, padding=1),
    ]
    width = 64
    for count, (out, inner, *mix, later, sizes, widths) in zip(
        layers, STAGES, strict=True
    ):
      parts.append(Block(width, out, inner, *mix, 2))
      blocks = [
          Block(out, out, later, sizes, widths, 1) for _ in range(count - 1)
      ]
      parts.append(mobilefacenet.Nested('model', *blocks))
      width = out
    self.features = nn.Sequential(*parts, unit(width, 512, 1))
    side = image_size // 16
    self.num_heads = num_heads
    for i in range(num_heads):
      head = nn.Module()
      head.CoordAtt = CoordinateAttention(512, side)
      self.add_module(f'cat_head{i}', head)
    self.Linear = unit(512, 512, side, groups=512, linear=True)
    if classes:
      self.fc = nn.Linear(512, classes)
      self.bn = nn.BatchNorm1d(classes)  # unused

  def forward(self, x) -> dict[str, torch.Tensor]:
    maps = {}
    for i, part in enumerate(self.features):
      x = part(x)
      if i % 2:
        maps[f'stage{i // 2}' if i > 1 else 'stem'] = x
    maps['map'] = x
    heads = [
        self.get_submodule(f'cat_head{i}.CoordAtt')(x)
        for i in range(self.num_heads)
    ]
    x = self.Linear(x * torch.stack(heads).amax(0))
    maps['embedding'] = x.flatten(1)
    if 'fc' not in self._modules:
      return maps
    return maps | {'logits': self.fc(maps['embedding'])}
