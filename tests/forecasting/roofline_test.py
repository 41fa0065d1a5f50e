"""Estimates against sums by hand, on chips with round figures."""

import dataclasses

import pytest

from abaw_jax.forecasting import roofline, topologies
from abaw_jax.telemetry import hardware


@dataclasses.dataclass(frozen=True)
class Device:
  """What a topology asks of a device."""

  device_kind: str


def slices(generation, kind, shape, num_slices=1):
  """Returns a topology without a compiler."""
  chip = hardware.TPUS[kind]
  count = chip.devices * num_slices
  for size in shape:
    count *= size
  return topologies.Topology(
      generation, shape, num_slices, (Device(kind),) * count
  )


V5E = slices('v5e', 'TPU v5 lite', (2, 4))


def estimate(topology, **numbers):
  zeros = {'flops': 0.0, 'hbm_bytes': 0.0, 'ici_bytes': 0.0, 'dcn_bytes': 0.0}
  rest = {'remat': 'none', 'batch_size': 8}
  return roofline.estimate(topology, **(zeros | rest | numbers))


def test_products_take_the_flops_over_their_share_of_the_peak():
  made = estimate(V5E, flops=8 * 197e12)
  assert made.compute == pytest.approx(1 / roofline.PRODUCTS)
  assert made.step == made.compute
  assert made.mfu == pytest.approx(roofline.PRODUCTS)
  assert made.rows_per_s == pytest.approx(8 * roofline.PRODUCTS)


def test_what_is_computed_twice_takes_time_and_is_no_use():
  once, twice = (
      estimate(V5E, flops=1e15, remat=remat) for remat in ('none', 'all')
  )
  assert twice.compute == pytest.approx(4 / 3 * once.compute)
  assert twice.mfu == pytest.approx(3 / 4 * once.mfu)


def test_memory_runs_beside_products_and_collectives_do_not():
  made = estimate(
      V5E, flops=8 * 197e12, hbm_bytes=3 * 819e9, ici_bytes=2 * 100e9
  )
  assert made.memory == pytest.approx(3)
  # Two axes without linked ends: 50 GB/s each.
  assert made.ici == pytest.approx(2)
  assert made.step == pytest.approx(3 + 2)
  assert made.mfu == pytest.approx(1 / 5)


def test_slices_exchange_at_the_rate_of_the_data_centre():
  made = estimate(
      slices('v5e', 'TPU v5 lite', (2, 4), 2), dcn_bytes=25e9 / 8, flops=1.0
  )
  assert made.dcn == pytest.approx(1)


@pytest.mark.parametrize(
    ('generation', 'kind', 'shape', 'gbytes'),
    [
        # Links of an axis times what one sends; two where its ends are linked.
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
def test_links_of_a_slice(generation, kind, shape, gbytes):
  topology = slices(generation, kind, shape)
  assert topology.ici_bandwidth == pytest.approx(gbytes * 1e9)


def test_a_chip_of_two_devices_gives_each_its_half():
  one = estimate(slices('v5p', 'TPU v5', (2, 2, 2)), hbm_bytes=2765e9)
  assert one.memory == pytest.approx(1)
  half = estimate(slices('tpu7x', 'TPU7x', (2, 2, 2)), hbm_bytes=7380e9 / 2)
  assert half.memory == pytest.approx(1)
  made = estimate(slices('tpu7x', 'TPU7x', (2, 2, 2)), flops=8 * 2307e12)
  assert made.mfu == pytest.approx(roofline.PRODUCTS)
