"""HBM traffic of programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.forecasting import hlo, topologies, traffic

KIB = 1024
PROGRAM = """
%%sliced (p0: f32[8,256], p1: s32[]) -> f32[1,256] {
  %%p0 = f32[8,256]{1,0} parameter(0)
  %%p1 = s32[] parameter(1)
  %%bits = f32[8,256]{1,0} bitcast(%%p0)
  ROOT %%part = f32[1,256]{1,0} dynamic-slice(%%bits, %%p1, %%p1)
}

%%updated (q0: f32[8,256], q1: f32[1,256], q2: s32[]) -> f32[8,256] {
  %%q0 = f32[8,256]{1,0} parameter(0)
  %%q1 = f32[1,256]{1,0} parameter(1)
  %%q2 = s32[] parameter(2)
  ROOT %%new = f32[8,256]{1,0} dynamic-update-slice(%%q0, %%q1, %%q2, %%q2)
}

%%scattered (s0: f32[8,256], s1: s32[1], s2: f32[1,256]) -> f32[8,256] {
  %%s0 = f32[8,256]{1,0} parameter(0)
  %%s1 = s32[1]{0:S(1)} parameter(1)
  %%s2 = f32[1,256]{1,0} parameter(2)
  ROOT %%sums = f32[8,256]{1,0} scatter(%%s0, %%s1, %%s2), to_apply=%%add
}

%%padded (t0: f32[1,256], t1: s32[]) -> f32[8,256] {
  %%t0 = f32[1,256]{1,0} parameter(0)
  %%t1 = s32[] parameter(1)
  %%zero = f32[] constant(0)
  %%zeros = f32[8,256]{1,0} broadcast(%%zero), dimensions={}
  ROOT %%pad = f32[8,256]{1,0} dynamic-update-slice(%%zeros, %%t0, %%t1, %%t1)
}

%%negated (n0: f32[256]) -> f32[256] {
  %%n0 = f32[256]{0} parameter(0)
  ROOT %%n1 = f32[256]{0} negate(%%n0)
}

%%both (r0: f32[256]) -> (f32[256], f32[256]) {
  %%r0 = f32[256]{0} parameter(0)
  %%r1 = f32[256]{0} add(%%r0, %%r0)
  ROOT %%t = (f32[256]{0}, f32[256]{0}) tuple(%%r0, %%r1)
}

ENTRY %%main (x: f32[256]) -> f32[256] {
  %%x = f32[256]{0} parameter(0)
  %%near = f32[256]{0:S(1)} parameter(1)
  %%stack = f32[8,256]{1,0} parameter(2)
  %%row = f32[1,256]{1,0} parameter(3)
  %%i = s32[]{:S(2)} parameter(4)
  %%index = s32[1]{0:S(1)} parameter(5)
  %s
}
"""


@pytest.mark.parametrize(
    ('line', 'kib'),
    [
        # Reads and writes 256 numbers of 4 bytes.
        ('%r = f32[256]{0} negate(%x)', 2),
        ('%r = f32[256]{0} add(%x, %near)', 2),
        ('%r = f32[256]{0:S(1)} negate(%near)', 0),
        ('%r = f32[256]{0} bitcast(%x)', 0),
        ('%r = (f32[256]{0}, f32[256]{0}) tuple(%x, %x)', 0),
        ('%r = f32[1,256]{1,0} dynamic-slice(%stack, %i, %i)', 2),
        (
            '%r = f32[8,256]{1,0} dynamic-update-slice(%stack, %row, %i, %i)',
            2,
        ),
        (
            '%r = f32[8,256]{1,0} dynamic-update-slice(%stack, %near, %i, %i)',
            1,
        ),
        ('%r = f32[1,256]{1,0} fusion(%stack, %i), calls=%sliced', 2),
        ('%r = f32[8,256]{1,0} fusion(%stack, %row, %i), calls=%updated', 2),
        ('%r = (f32[256]{0}, f32[256]{0:S(1)}) fusion(%x), calls=%both', 2),
        # Reads old and new values, and writes their sum.
        ('%r = f32[8,256]{1,0} scatter(%stack, %index, %row)', 3),
        (
            '%r = f32[8,256]{1,0} fusion(%stack, %index, %row), calls=%scattered',
            3,
        ),
        # Writes all rows, because nothing is in place.
        ('%r = f32[8,256]{1,0} fusion(%row, %i), calls=%padded', 9),
        (
            '%r = f32[8,256]{1,0} custom-call(), '
            'custom_call_target="AllocateBuffer"',
            0,
        ),
        (
            '%r = f32[256]{0} custom-call(%x), custom_call_target="kernel"',
            2,
        ),
        (
            '%r = (f32[256]{0}, s8[4194304]{0}) custom-call(%x), '
            'custom_call_target="__cublas$gemm"',
            2,
        ),
        # Only the called computation reads and writes.
        ('%r = f32[256]{0} call(%x), to_apply=%negated', 2),
        (
            '%r = (f32[256]{0:S(1)}, f32[256]{0}, u32[]) copy-start(%x)\n'
            '  %d = f32[256]{0:S(1)} copy-done(%r)',
            1,
        ),
        (
            '%r = ((f32[8,256]{1,0}), f32[1,256]{1,0:S(1)}, s32[]{:S(2)}) '
            'slice-start(%stack)',
            1,
        ),
        ('%r = f32[256]{0} all-reduce(%x), replica_groups={}', 2),
        (
            '%r = (f32[256]{0}, f32[256]{0}) all-reduce-start(%x)\n'
            '  %d = f32[256]{0} all-reduce-done(%r)',
            2,
        ),
    ],
)
def test_each_instruction_reads_inputs_and_writes_outputs(line, kib):
  assert traffic.hbm_bytes(hlo.parse(PROGRAM % line)) == kib * KIB


def test_it_equals_the_count_of_xla_without_loops():
  def f(x, w):
    return jnp.tanh(x @ w) @ w.T

  compiled = (
      jax.jit(f).lower(jnp.ones((64, 128)), jnp.ones((128, 32))).compile()
  )
  ours = traffic.hbm_bytes(hlo.parse(compiled.as_text()))
  np.testing.assert_allclose(
      ours, compiled.cost_analysis()['bytes accessed'], rtol=0.01
  )


def test_an_iteration_reads_only_one_row_of_a_stack():
  def measure(length):
    def f(x, stack):
      return jax.lax.scan(lambda x, row: (jnp.sin(x) * row, None), x, stack)[0]

    shapes = [(4096,), (length, 4096)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    text = jax.jit(f).lower(*arguments).compile().as_text()
    return traffic.hbm_bytes(hlo.parse(text))

  iteration = measure(9) - measure(8)
  # Reads x and a row, writes x; the entire stack would be 8 times more.
  np.testing.assert_allclose(iteration, 3 * 4096 * 4, rtol=0.35)


@pytest.fixture
def uncached():
  """Keeps programs for TPUs out of JAX's cache; without a TPU, it cannot read them."""
  name = 'jax_persistent_cache_min_compile_time_secs'
  seconds = jax.config.values[name]
  jax.config.update(name, 1e9)
  yield
  jax.config.update(name, seconds)


def scan_stack(x, stack):
  """Reads a row of a stack, and writes one of another, in each iteration."""
  return jax.lax.scan(lambda x, row: (jnp.sin(x) * row, x), x, stack)


@pytest.mark.parametrize(
    ('function', 'shapes', 'donated', 'count'),
    [
        # Reads both factors, writes the product.
        (jnp.matmul, [(256, 512), (512, 128)], (), 256 * 640 + 512 * 128),
        # One fusion of a chain: reads two arrays, writes one.
        (lambda x, y: jnp.tanh(2 * x + y) - x, [(512, 1024)] * 2, (), 3 * 2**19),
        # Softmax reads its input for the maximum, for the sum and for the result.
        (jax.nn.softmax, [(4096, 8192)], (), 4 * 2**25),
        # The carry stays in vector memory between iterations.
        (scan_stack, [(512, 1024), (12, 512, 1024)], (), (2 * 12 + 2) * 2**19),
        # The rows and indices, not the table.
        (lambda x, i: x[i], [(100_000, 1024), 64], (), 64 * (2 * 1024 + 1)),
        (lambda x, i, y: x.at[i].add(y), [(100_000, 1024), 64, (64, 1024)], (0,),
         64 * (3 * 1024 + 1)),
        (lambda x, y, i: jax.lax.dynamic_update_slice(x, y, (i[0], 0)),
         [(100_000, 1024), (8, 1024), 1], (0,), 2 * 8 * 1024),
    ],
)  # fmt: skip
def test_bytes_of_programs_for_tpus_by_hand(
    function, shapes, donated, count, uncached
):
  device = topologies.make_topology('v5e:2x2').devices[0]
  place = jax.sharding.SingleDeviceSharding(device)
  arguments = [
      jax.ShapeDtypeStruct((x,), jnp.int32, sharding=place)
      if isinstance(x, int)
      else jax.ShapeDtypeStruct(x, jnp.float32, sharding=place)
      for x in shapes
  ]
  step = jax.jit(function, donate_argnums=donated)
  program = hlo.parse(step.lower(*arguments).compile().as_text())
  np.testing.assert_allclose(traffic.hbm_bytes(program), 4 * count, rtol=0.01)
