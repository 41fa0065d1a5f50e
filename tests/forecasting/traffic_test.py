"""HBM traffic of programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.forecasting import hlo, traffic

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
        ('%r = f32[1,256]{1,0} fusion(%stack, %i), calls=%sliced', 2),
        ('%r = f32[8,256]{1,0} fusion(%stack, %row, %i), calls=%updated', 2),
        ('%r = (f32[256]{0}, f32[256]{0:S(1)}) fusion(%x), calls=%both', 2),
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
