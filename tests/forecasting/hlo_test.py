"""Parsing of optimised programs: executions and sizes."""

import jax
import jax.numpy as jnp
import pytest

from abaw_jax.forecasting import hlo, traffic

PROGRAM = """
HloModule jit_f, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%inner (p: bf16[4,8]) -> bf16[4,8] {
  %p = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %twice = bf16[4,8]{1,0} multiply(%p, %p)
}

%body (arg: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %arg = (s32[]{:T(128)}, bf16[4,8]{1,0:T(8,128)(2,1)}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %x = bf16[4,8]{1,0} get-tuple-element(%arg), index=1
  %fusion.1 = bf16[4,8]{1,0} fusion(%x), kind=kLoop, calls=%inner
  ROOT %tuple = (s32[], bf16[4,8]{1,0}) tuple(%i, /*index=1*/%fusion.1)
}

%condition (arg.1: (s32[], bf16[4,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(24)
  %arg.1 = (s32[]{:T(128)}, bf16[4,8]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%arg.1), index=0
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (x.1: bf16[4,8]) -> bf16[4,8] {
  %x.1 = bf16[4,8]{1,0:T(8,128)(2,1)S(1)} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], bf16[4,8]{1,0}) tuple(%zero, %x.1)
  %while = (s32[], bf16[4,8]{1,0}) while(%start), condition=%condition, body=%body
  ROOT %out = bf16[4,8]{1,0} get-tuple-element(%while), index=1
}
"""


def test_the_condition_of_a_loop_gives_the_number_of_iterations():
  program = hlo.parse(PROGRAM)
  assert program.entry == 'main'
  times = {
      (name, instruction.name): count
      for name, instruction, count in program.walk()
  }
  assert times['main', 'while'] == 1
  assert times['body', 'fusion.1'] == 24
  assert ('inner', 'twice') not in times
  inside = list(program.walk(fusions=True))
  assert ('inner', 'twice', 24) in [(n, i.name, c) for n, i, c in inside]


def test_parts_of_instructions():
  body = hlo.parse(PROGRAM).computations['body']
  assert body['tuple'].operands == ('i', 'fusion.1')
  assert body['tuple'].root
  assert body['tuple'].type == '(s32[], bf16[4,8]{1,0})'
  assert body['fusion.1'].opcode == 'fusion'
  assert body['fusion.1'].called() == ['inner']


def test_a_loop_with_an_unknown_number_of_iterations_counts_once():
  program = hlo.parse(PROGRAM.replace('constant(24)', 'parameter(1)'))
  counts = {i.name: count for _, i, count in program.walk()}
  assert counts['fusion.1'] == 1
  noted = PROGRAM.replace(
      'body=%body', 'body=%body, config={"known_trip_count":{"n":"7"}}'
  )
  counts = {i.name: count for _, i, count in hlo.parse(noted).walk()}
  assert counts['fusion.1'] == 7


@pytest.mark.parametrize(
    ('text', 'size', 'in_hbm'),
    [
        ('f32[8,128]{1,0:T(8,128)}', 4096, 4096),
        ('bf16[3,5]{1,0:T(8,128)(2,1)S(1)}', 30, 0),
        ('(f32[2]{0}, /*index=1*/(s8[3]{0:S(1)}, pred[]))', 12, 9),
        ('token[]', 0, 0),
        ('s4[6]{0}', 3, 3),
    ],
)
def test_bytes_of_a_type(text, size, in_hbm):
  assert hlo.num_bytes(text) == size
  assert hlo.hbm_bytes(text) == in_hbm


def test_programs_of_jax_can_be_parsed():
  def f(x):
    return jax.lax.scan(lambda x, _: (jnp.sin(x @ x), None), x, length=9)[0]

  text = jax.jit(f).lower(jnp.ones((16, 16))).compile().as_text()
  program = hlo.parse(text)
  loops = [i for _, i, _ in program.walk() if i.opcode == 'while']
  assert [program.trip_count(loop) for loop in loops] == [9]
  assert max(count for _, _, count in program.walk()) == 9


def test_calls_on_another_core_count():
  program = hlo.parse("""
%called (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %sum = f32[4]{0} all-reduce(%p), replica_groups={}
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %start = ((f32[4]{0}), f32[4]{0}, u32[]) call-start(%x), to_apply=%called
  ROOT %done = f32[4]{0} call-done(%start)
}
""")
  assert 'sum' in [instruction.name for _, instruction, _ in program.walk()]
  # Only the sum reads and writes; start and end of the call move no data.
  assert traffic.hbm_bytes(program) == 32
