"""State dicts of Real-ESRGAN: RRDBNet and SRVGGNetCompact, with BasicSR's names."""

from collections.abc import Mapping
import math
import pathlib
import re
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

# Factor between output and input by channels of the first convolution of RRDBNet,
# which reads squares of 1, 2 x 2 or 4 x 4 pixels.
_SCALES = {3: 4, 12: 2, 48: 1}
_CONV = 'out in 3 3'


def infer_rrdb(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `scale`, `width`, `growth` and `blocks` of an RRDBNet."""
  first, dense = 'conv_first.weight', 'body.0.rdb1.conv1.weight'
  width, channels, *_ = torch_layers.read_shape(
      shapes, checkpoint, first, _CONV
  )
  growth, *_ = torch_layers.read_shape(shapes, checkpoint, dense, _CONV)
  if channels not in _SCALES:
    raise errors.InputError(
        f'{checkpoint}: {first} reads {channels} channels, but should read 3 '
        '(scale 4), 12 (scale 2) or 48 (scale 1); convert an RRDBNet of '
        'Real-ESRGAN'
    )
  return {
      'name': 'sr',
      'network': 'rrdb',
      'scale': _SCALES[channels],
      'width': width,
      'growth': growth,
      'blocks': torch_layers.count_children(shapes, 'body'),
  }


def infer_compact(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `scale`, `width` and `convs` of an SRVGGNetCompact."""
  width, *_ = torch_layers.read_shape(
      shapes, checkpoint, 'body.0.weight', _CONV
  )
  layers = torch_layers.count_children(shapes, 'body')
  last = f'body.{layers - 1}.weight'
  channels, *_ = torch_layers.read_shape(shapes, checkpoint, last, _CONV)
  scale = math.isqrt(channels // 3)
  if 3 * scale**2 != channels:
    raise errors.InputError(
        f'{checkpoint}: {last} makes {channels} channels, which are no square '
        'of RGB pixels; convert an SRVGGNetCompact of Real-ESRGAN'
    )
  return {
      'name': 'sr',
      'network': 'compact',
      'scale': scale,
      'width': width,
      # A convolution and a PReLU each; the first and the last one do not count.
      'convs': (layers - 3) // 2,
  }


def make_rrdb_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter of an RRDBNet."""
  del model
  *modules, leaf = path.removeprefix('generator/').split('/')
  return torch_layers.make_rule(
      re.sub(r'^body_', 'body.', '.'.join(modules)), leaf
  )


def make_compact_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter of an SRVGGNetCompact."""
  layer, leaf = path.removeprefix('generator/').split('/')
  kind, number = layer.split('_')
  if number == 'last':
    number = model['convs'] + 1
  index = 2 * int(number) + (kind == 'prelu')
  return torch_layers.make_rule(f'body.{index}', leaf)


RRDB_LAYOUT = state_dicts.Layout(
    source='Real-ESRGAN RRDBNet',
    marks=frozenset({'conv_first.weight', 'conv_up1.weight'}),
    infer_model=infer_rrdb,
    make_rule=make_rrdb_rule,
    licence=(
        'Real-ESRGAN is under BSD-3-Clause and ESRGAN under Apache-2.0. Other '
        'weights keep the licence of their source.'
    ),
    key='params',
)
COMPACT_LAYOUT = RRDB_LAYOUT._replace(
    source='Real-ESRGAN SRVGGNetCompact',
    marks=frozenset({'body.0.weight', 'body.1.weight', 'body.2.weight'}),
    infer_model=infer_compact,
    make_rule=make_compact_rule,
)
