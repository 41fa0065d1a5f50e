"""Reference RRDBNet and SRVGGNetCompact in PyTorch with BasicSR's names."""

import torch
from torch import nn
import torch.nn.functional as F


def conv(width: int, out_width: int) -> nn.Conv2d:
  return nn.Conv2d(width, out_width, 3, 1, 1)


def leaky_relu(x: torch.Tensor) -> torch.Tensor:
  return F.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
  """Five densely connected convolutions."""

  def __init__(self, width: int, growth: int):
    super().__init__()
    for i in range(1, 5):
      self.add_module(f'conv{i}', conv(width + (i - 1) * growth, growth))
    self.conv5 = conv(width + 4 * growth, width)

  def forward(self, x):
    x1 = leaky_relu(self.conv1(x))
    x2 = leaky_relu(self.conv2(torch.cat((x, x1), 1)))
    x3 = leaky_relu(self.conv3(torch.cat((x, x1, x2), 1)))
    x4 = leaky_relu(self.conv4(torch.cat((x, x1, x2, x3), 1)))
    x5 = self.conv5(torch.cat((x, x1, x2, x3, x4), 1))
    return x5 * 0.2 + x


class RRDB(nn.Module):
  """Three dense blocks and a shortcut."""

  def __init__(self, width: int, growth: int):
    super().__init__()
    self.rdb1 = DenseBlock(width, growth)
    self.rdb2 = DenseBlock(width, growth)
    self.rdb3 = DenseBlock(width, growth)

  def forward(self, x):
    return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


class RRDBNet(nn.Module):
  """Generator of Real-ESRGAN for the scales 1, 2 and 4."""

  def __init__(self, scale: int, width: int, growth: int, blocks: int):
    super().__init__()
    self.unshuffle = 4 // scale
    self.conv_first = conv(3 * self.unshuffle**2, width)
    self.body = nn.Sequential(*[RRDB(width, growth) for _ in range(blocks)])
    self.conv_body = conv(width, width)
    self.conv_up1 = conv(width, width)
    self.conv_up2 = conv(width, width)
    self.conv_hr = conv(width, width)
    self.conv_last = conv(width, 3)

  def forward(self, x):
    x = self.conv_first(F.pixel_unshuffle(x, self.unshuffle))
    x = x + self.conv_body(self.body(x))
    for layer in (self.conv_up1, self.conv_up2):
      x = leaky_relu(layer(F.interpolate(x, scale_factor=2, mode='nearest')))
    return self.conv_last(leaky_relu(self.conv_hr(x)))


class SRVGGNetCompact(nn.Module):
  """Convolutions and PReLUs, then a pixel shuffle."""

  def __init__(self, scale: int, width: int, convs: int):
    super().__init__()
    self.scale = scale
    layers = [conv(3, width), nn.PReLU(width)]
    for _ in range(convs):
      layers += [conv(width, width), nn.PReLU(width)]
    self.body = nn.ModuleList([*layers, conv(width, 3 * scale**2)])

  def forward(self, x):
    y = x
    for layer in self.body:
      y = layer(y)
    nearest = F.interpolate(x, scale_factor=self.scale, mode='nearest')
    return F.pixel_shuffle(y, self.scale) + nearest


class UNetDiscriminatorSN(nn.Module):
  """Discriminator of Real-ESRGAN with spectral normalisation."""

  def __init__(self, width: int):
    super().__init__()

    def norm(i, o, size=3, stride=1):
      layer = nn.Conv2d(i, o, size, stride, 1, bias=False)
      return nn.utils.spectral_norm(layer)

    self.conv0 = conv(3, width)
    self.conv1 = norm(width, 2 * width, 4, 2)
    self.conv2 = norm(2 * width, 4 * width, 4, 2)
    self.conv3 = norm(4 * width, 8 * width, 4, 2)
    self.conv4 = norm(8 * width, 4 * width)
    self.conv5 = norm(4 * width, 2 * width)
    self.conv6 = norm(2 * width, width)
    self.conv7 = norm(width, width)
    self.conv8 = norm(width, width)
    self.conv9 = conv(width, 1)

  def forward(self, x):
    def twice(x):
      return F.interpolate(
          x, scale_factor=2, mode='bilinear', align_corners=False
      )

    x0 = leaky_relu(self.conv0(x))
    x1 = leaky_relu(self.conv1(x0))
    x2 = leaky_relu(self.conv2(x1))
    x3 = leaky_relu(self.conv3(x2))
    x4 = leaky_relu(self.conv4(twice(x3))) + x2
    x5 = leaky_relu(self.conv5(twice(x4))) + x1
    x6 = leaky_relu(self.conv6(twice(x5))) + x0
    out = leaky_relu(self.conv8(leaky_relu(self.conv7(x6))))
    return self.conv9(out)
