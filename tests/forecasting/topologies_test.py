"""Names of TPU slices, and their devices as compile targets."""

import math

import jax
import pytest

from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.forecasting import topologies
from abaw_jax.telemetry import hardware


@pytest.mark.parametrize('generation', topologies.SLICES)
def test_the_compiler_knows_every_slice_of_the_table(generation):
  for shape in topologies.SLICES[generation]:
    made = topologies.make_topology(f'{generation}:{shape}')
    assert made.name == f'{generation}:{shape}'
    assert made.num_chips == math.prod(made.shape)
    # The table of chips has these devices.
    assert len(made.devices) == made.num_chips * made.chip.devices
    assert {d.device_kind for d in made.devices} <= hardware.TPUS.keys()
  assert made.num_chips == 256


def test_a_locked_compiler_is_one_line(monkeypatch):
  def locked(**_):
    raise jax.errors.JaxRuntimeError(
        'ABORTED: Internal error when accessing libtpu multi-process lockfile.'
    )

  monkeypatch.setattr(topologies.topologies, 'get_topology_desc', locked)
  with pytest.raises(errors.InputError, match='another process uses it'):
    topologies.make_topology('v5e:2x2')


def test_devices_have_the_index_of_their_slice():
  made = topologies.make_topology('v5e:2x4', num_slices=2)
  assert (made.name, made.num_chips) == ('2 x v5e:2x4', 16)
  slices = [device.slice_index for device in made.devices]
  assert sorted(slices) == [0] * 8 + [1] * 8


@pytest.mark.parametrize('generation', topologies.SLICES)
@pytest.mark.parametrize('fsdp', [1, 8])
def test_every_slice_can_be_split(generation, fsdp):
  for shape in topologies.SLICES[generation][2:]:  # from 8 chips on
    devices = topologies.make_topology(f'{generation}:{shape}').devices
    mesh = sharding.arrange(devices, fsdp=fsdp)
    assert mesh.shape == (len(devices) // fsdp, 1, fsdp)
    assert {device.id for device in mesh.flat} == {d.id for d in devices}


@pytest.mark.parametrize(('alias', 'name'), [('v5', 'v5p'), ('v7x', 'tpu7x')])
def test_aliases(alias, name):
  assert topologies.make_topology(f'{alias}:2x2x1').name == f'{name}:2x2x1'


@pytest.mark.parametrize(
    ('name', 'texts'),
    [
        ('v5e-16', ('no such TPU', 'v5e:8x8', 'tpu7x:4x4x4')),
        ('v9:2x2', ('no such TPU', 'v4:4x4x4')),
        ('', ('no such TPU',)),
        ('v5e:3x3', ('no such slice', 'slices of v5e are 1x1, 2x2', '16x16')),
    ],
)
def test_a_wrong_name_lists_known_names(name, texts):
  with pytest.raises(errors.InputError) as error:
    topologies.make_topology(name)
  message = str(error.value)
  assert message.startswith(f'--topology={name}: ')
  assert [text for text in texts if text not in message] == []
  assert '\n' not in message
