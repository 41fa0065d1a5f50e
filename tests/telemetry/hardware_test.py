"""Peaks of devices by the name that JAX gives them."""

import pytest

from abaw_jax.telemetry import hardware


@pytest.mark.parametrize(
    ('kind', 'tflops'),
    [('TPU v5 lite', 197), ('TPU v5', 459), ('NVIDIA H200', 989)],
)
def test_a_name_that_begins_another_is_not_taken_for_it(kind, tflops):
  assert hardware.peak_flops(kind) == tflops * 1e12


@pytest.mark.parametrize('kind', ['cpu', 'TPU v5 next', 'NVIDIA H2'])
def test_what_is_not_in_the_table_has_no_peak(kind):
  assert hardware.peak_flops(kind) is None


def test_a_chip_of_two_devices_has_twice_the_peak_of_one():
  assert hardware.peak_flops('TPU7x') == 2307e12 / 2
  for kind, chip in hardware.TPUS.items():
    assert hardware.peak_flops(kind) * chip.devices == chip.flops


def test_what_moves_far_moves_slowly():
  for chip in hardware.TPUS.values():
    assert chip.hbm_bandwidth > 6 * chip.link_bandwidth > chip.dcn_bandwidth
