"""Estimates against closed forms from data sheets."""

import dataclasses

import pytest

from abaw_jax.forecasting import collectives, roofline, topologies
from abaw_jax.telemetry import hardware


@dataclasses.dataclass(frozen=True)
class Device:
  """The part of a device that a topology reads."""

  device_kind: str


def slices(generation, kind, shape, num_slices=1):
  """Returns a topology; needs no TPU compiler."""
  chip = hardware.TPUS[kind]
  count = chip.devices * num_slices
  for size in shape:
    count *= size
  return topologies.Topology(
      generation, shape, num_slices, (Device(kind),) * count
  )


V5E = slices('v5e', 'TPU v5 lite', (2, 4))


def estimate(topology, **numbers):
  zeros = {'flops': 0.0, 'hbm_bytes': 0.0, 'collectives': ()}
  rest = {'remat': 'none', 'batch_size': 8}
  return roofline.estimate(topology, **(zeros | rest | numbers))


def sent(num_bytes, network='ici', group=8, overlapped=False):
  """Returns a collective in which a device sends this number of bytes."""
  return collectives.Collective(
      'all-gather', network, group, overlapped, 1, 0, int(num_bytes)
  )


def test_compute_time_is_flops_over_the_share_of_the_peak():
  made = estimate(V5E, flops=8 * 197e12)
  assert made.compute == pytest.approx(1 / roofline.MATMUL_EFFICIENCY)
  assert made.step == made.compute
  assert made.mfu == pytest.approx(roofline.MATMUL_EFFICIENCY)
  assert made.rows_per_s == pytest.approx(8 * roofline.MATMUL_EFFICIENCY)


def test_recomputed_flops_take_time_but_do_not_count_in_mfu():
  once, twice = (
      estimate(V5E, flops=1e15, remat=remat) for remat in ('none', 'all')
  )
  assert twice.compute == pytest.approx(4 / 3 * once.compute)
  assert twice.mfu == pytest.approx(3 / 4 * once.mfu)


def test_memory_overlaps_with_compute_but_collectives_do_not():
  made = estimate(
      V5E,
      flops=8 * 197e12,
      hbm_bytes=3 * 819e9,
      collectives=(sent(2 * 100e9),),
  )
  assert made.memory == pytest.approx(3)
  # Two axes that do not wrap around: 50 GB/s each.
  assert made.ici == pytest.approx(2)
  assert made.step == pytest.approx(3 + 2)
  assert made.mfu == pytest.approx(1 / 5)


def test_asynchronous_collectives_overlap_with_compute():
  for seconds, step in ((1, 3), (5, 5)):
    made = estimate(
        V5E,
        hbm_bytes=3 * 819e9,
        collectives=(sent(seconds * 100e9, overlapped=True),),
    )
    assert (made.overlapped, made.ici) == pytest.approx((seconds, 0))
    assert made.step == pytest.approx(step)


@pytest.mark.parametrize(
    ('shape', 'group', 'links'),
    [((16, 16), 256, 4), ((16, 16), 16, 2), ((2, 4), 2, 1), ((4, 8), 16, 2)],
)
def test_a_group_uses_the_links_along_its_axes(shape, group, links):
  topology = slices('v5e', 'TPU v5 lite', shape)
  assert topology.ici_bandwidth(group) == pytest.approx(links * 50e9)


def test_slices_communicate_at_the_bandwidth_of_dcn():
  made = estimate(
      slices('v5e', 'TPU v5 lite', (2, 4), 2),
      collectives=(sent(25e9 / 8, 'dcn', 2),),
      flops=1.0,
  )
  assert made.dcn == pytest.approx(1)


@pytest.mark.parametrize(
    ('generation', 'kind', 'shape', 'gbytes'),
    [
        # Links times bandwidth of a link; two links on an axis that wraps around.
        ('v5e', 'TPU v5 lite', (1, 1), 0),
        ('v5e', 'TPU v5 lite', (2, 4), 2 * 50),
        ('v5e', 'TPU v5 lite', (8, 16), 3 * 50),
        ('v5e', 'TPU v5 lite', (16, 16), 4 * 50),
        ('v6e', 'TPU v6 lite', (16, 16), 4 * 100),
        ('v4', 'TPU v4', (2, 2, 4), 3 * 45),
        ('v4', 'TPU v4', (4, 4, 8), 6 * 45),
        ('v5p', 'TPU v5', (2, 2, 1), 2 * 100),
        # Two devices share the links of a chip.
        ('tpu7x', 'TPU7x', (4, 4, 4), 6 * 100 / 2),
    ],
)
def test_ici_bandwidth_of_a_slice(generation, kind, shape, gbytes):
  topology = slices(generation, kind, shape)
  assert topology.ici_bandwidth() == pytest.approx(gbytes * 1e9)


def test_two_devices_of_a_chip_share_its_resources():
  one = estimate(slices('v5p', 'TPU v5', (2, 2, 2)), hbm_bytes=2765e9)
  assert one.memory == pytest.approx(1)
  half = estimate(slices('tpu7x', 'TPU7x', (2, 2, 2)), hbm_bytes=7380e9 / 2)
  assert half.memory == pytest.approx(1)
  made = estimate(slices('tpu7x', 'TPU7x', (2, 2, 2)), flops=8 * 2307e12)
  assert made.mfu == pytest.approx(roofline.MATMUL_EFFICIENCY)
