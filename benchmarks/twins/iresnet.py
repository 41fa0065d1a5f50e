"""Reference IResNet in PyTorch with InsightFace's names."""

import torch
from torch import nn

WIDTHS = (64, 128, 256, 512)


def conv(width: int, out_width: int, size: int, stride: int = 1) -> nn.Conv2d:
  return nn.Conv2d(width, out_width, size, stride, size // 2, bias=False)


class Block(nn.Module):
  """Residual block: BN, conv, BN, PReLU, conv, BN."""

  def __init__(self, width: int, out_width: int, stride: int):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(width)
    self.conv1 = conv(width, out_width, 3)
    self.bn2 = nn.BatchNorm2d(out_width)
    self.prelu = nn.PReLU(out_width)
    self.conv2 = conv(out_width, out_width, 3, stride)
    self.bn3 = nn.BatchNorm2d(out_width)
    self.downsample = None
    if stride > 1:
      self.downsample = nn.Sequential(
          conv(width, out_width, 1, stride), nn.BatchNorm2d(out_width)
      )

  def forward(self, x):
    y = self.bn2(self.conv1(self.bn1(x)))
    y = self.bn3(self.conv2(self.prelu(y)))
    return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
  """Returns the feature map of every stage and the embedding by our names."""

  def __init__(self, layers: tuple[int, ...], image_size: int, dim: int = 512):
    super().__init__()
    self.conv1 = conv(3, WIDTHS[0], 3)
    self.bn1 = nn.BatchNorm2d(WIDTHS[0])
    self.prelu = nn.PReLU(WIDTHS[0])
    width, side = WIDTHS[0], image_size
    for stage, (count, out_width) in enumerate(
        zip(layers, WIDTHS, strict=True), start=1
    ):
      blocks = []
      for i in range(count):
        blocks.append(Block(width, out_width, 1 if i else 2))
        width = out_width
      self.add_module(f'layer{stage}', nn.Sequential(*blocks))
      side = (side + 1) // 2
    self.bn2 = nn.BatchNorm2d(width)
    self.fc = nn.Linear(width * side * side, dim)
    self.features = nn.BatchNorm1d(dim)
    self.features.weight.requires_grad_(False)

  def forward(self, x) -> dict[str, torch.Tensor]:
    maps = {'stem': self.prelu(self.bn1(self.conv1(x)))}
    x = maps['stem']
    for stage in range(1, 5):
      x = maps[f'stage{stage}'] = self.get_submodule(f'layer{stage}')(x)
    maps['map'] = self.bn2(x)
    embedding = self.features(self.fc(maps['map'].flatten(1)))
    return maps | {'embedding': embedding}
