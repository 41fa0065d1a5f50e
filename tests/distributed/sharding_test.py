"""The arrangement of devices as a mesh, and the split of batches over it."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.forecasting import topologies


@dataclasses.dataclass(frozen=True)
class Device:
  """The attributes of a device that a mesh reads."""

  id: int
  slice_index: int = 0
  process_index: int = 0
  platform: str = 'cpu'
  device_kind: str = 'test'


def test_one_slice_is_filled_row_by_row():
  devices = [Device(i) for i in range(8)]
  mesh = sharding.arrange(devices, fsdp=2)
  ids = np.vectorize(lambda device: device.id)(mesh)
  np.testing.assert_array_equal(ids, np.arange(8).reshape(4, 1, 2))


@pytest.mark.parametrize('zero', [1, 2])
@pytest.mark.parametrize('fsdp', [1, 2])
def test_parameters_are_split_only_inside_a_slice(fsdp, zero):
  # Devices may arrive in any order of their slices.
  devices = [Device(i, slice_index=i % 2) for i in range(8)]
  mesh = sharding.arrange(devices, fsdp=fsdp, zero=zero)
  assert mesh.shape == (8 // (fsdp * zero), zero, fsdp)
  assert sorted(device.id for device in mesh.ravel()) == list(range(8))
  for row in mesh:
    assert len({device.slice_index for device in row.ravel()}) == 1
  # Along `data`, the devices of a slice are neighbors.
  slices = [row[0, 0].slice_index for row in mesh]
  assert slices == sorted(slices)


def test_rows_of_a_slice_return_in_the_order_of_its_hosts():
  devices = topologies.make_topology('v5e:4x4').devices
  mesh = sharding.make_mesh(fsdp=1, devices=devices)
  hosts = [device.process_index for device in mesh.devices.flat]
  assert hosts != sorted(hosts)
  # Each host fills its devices in the order of the mesh, two rows for each.
  rows = {host: iter(range(8 * host, 8 * host + 8)) for host in set(hosts)}
  batch = np.array([next(rows[host]) for host in hosts for _ in range(2)])
  np.testing.assert_array_equal(
      sharding.in_process_order(batch, mesh), np.arange(32)
  )


@pytest.mark.parametrize(
    ('slices', 'zero', 'fsdp', 'message'),
    [
        (1, 1, 3, 'mesh.fsdp=3 does not divide the 8 devices:'),
        (2, 1, 8, 'fsdp=8 does not divide the 4 devices of each of 2 slices'),
        (2, 4, 2, 'zero=4 x fsdp=2 does not divide the 4 devices of each'),
    ],
)
def test_parts_that_do_not_divide_a_slice_are_refused(
    slices, zero, fsdp, message
):
  devices = [Device(i, slice_index=i % slices) for i in range(8)]
  with pytest.raises(errors.InputError, match=message):
    sharding.arrange(devices, fsdp=fsdp, zero=zero)


@pytest.mark.parametrize(
    ('batch_size', 'microbatches', 'message'),
    [
        (4, 3, '4 is not a multiple of the 1 devices, 3'),
    ],
)
def test_batches_that_the_devices_do_not_divide_are_refused(
    batch_size, microbatches, message
):
  mesh = sharding.make_mesh(fsdp=1)
  with pytest.raises(errors.InputError, match=message):
    sharding.check_batch(
        batch_size, mesh, 'config.data.batch_size', microbatches=microbatches
    )
