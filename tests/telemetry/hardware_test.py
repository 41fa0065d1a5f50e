"""Peak FLOP/s of devices by their name in JAX."""

import pytest

from abaw_jax.telemetry import hardware


@pytest.mark.parametrize(
    ('kind', 'tflops'),
    [('TPU v5 lite', 197), ('TPU v5', 459), ('NVIDIA H200', 989)],
)
def test_a_name_that_is_a_prefix_of_another_has_its_own_peak(kind, tflops):
  assert hardware.peak_flops(kind) == tflops * 1e12


@pytest.mark.parametrize('kind', ['cpu', 'TPU v5 next', 'NVIDIA H2'])
def test_an_unknown_device_has_no_peak(kind):
  assert hardware.peak_flops(kind) is None


def test_the_devices_of_a_chip_share_its_peak():
  assert hardware.peak_flops('TPU7x') == 2307e12 / 2
  for kind, chip in hardware.TPUS.items():
    assert hardware.peak_flops(kind) * chip.devices == chip.flops


def test_bandwidth_decreases_with_distance():
  for chip in hardware.TPUS.values():
    assert chip.hbm_bandwidth > 6 * chip.link_bandwidth > chip.dcn_bandwidth
