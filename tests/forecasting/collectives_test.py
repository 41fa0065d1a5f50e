"""Collectives of hand-written programs, and of a program with known sums."""

import json

import pytest

from abaw_jax.forecasting import collectives, hlo
from tests.training import runs

PROGRAM = """
%%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %%sum = f32[] add(%%a, %%b)
}

%%all-reduce-scatter.1 (input: f32[64]) -> f32[16] {
  %%input = f32[64]{0} parameter(0)
  %%all-reduce.9 = f32[64]{0} all-reduce(%%input), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%%add
  ROOT %%slice = f32[16]{0} dynamic-slice(%%all-reduce.9, %%input)
}

ENTRY %%main (x: f32[1024]) -> f32[1024] {
  %%x = f32[1024]{0} parameter(0)
  %%y = bf16[1024]{0} parameter(1)
  %%z = f32[64]{0} parameter(2)
  %s
}
"""


def find(line: str, **topology) -> list[tuple]:
  """Returns the collectives of a program with this line, as tuples."""
  program = hlo.parse(PROGRAM % line)
  return [
      (x.kind, x.network, x.count, x.num_bytes, x.sent_bytes)
      for x in collectives.find(program, **({'num_devices': 8} | topology))
  ]


@pytest.mark.parametrize(
    ('groups', 'size'),
    [
        ('{{0,1},{2,3},{4,5},{6,7}}', 2),
        ('{}', 8),
        ('[2,4]<=[8]', 4),
        ('[4,2]<=[2,4]T(1,0)', 2),
        ("mesh['axis_0'=4,'axis_1'=2] {'axis_0'}", 4),
        ("mesh['axis_0'=4,'axis_1'=2] {'axis_0','axis_1'}", 8),
        ("mesh['axis_0'=8] {'axis_0':(2)4}", 4),
        ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", 4),
    ],
)
def test_the_size_of_a_group_gives_the_bytes_of_a_ring(groups, size):
  line = f'ROOT %r = f32[1024]{{0}} all-reduce(%x), replica_groups={groups}, x'
  sent = 2 * 4096 * (size - 1) // size
  assert find(line) == [('all-reduce', 'ici', 1, 4096, sent)]


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        (
            '%s = (f32[1024]{0}, f32[1024]{0}) all-reduce-start(%x), '
            'replica_groups={{0,1}}\n  ROOT %d = f32[1024]{0} all-reduce-done(%s)',
            ('all-reduce', 'ici', 1, 4096, 4096),
        ),
        (
            'ROOT %r = (f32[1024]{0}, bf16[1024]{0}) all-reduce(%x, %y), '
            'replica_groups={{0,1}}',
            ('all-reduce', 'ici', 1, 6144, 6144),
        ),
        (
            'ROOT %r = bf16[4096]{0} all-gather(%y), '
            'replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}',
            ('all-gather', 'ici', 1, 8192, 6144),
        ),
        (
            'ROOT %r = f32[256]{0} reduce-scatter(%x), '
            'replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}',
            ('reduce-scatter', 'ici', 1, 4096, 3072),
        ),
        (
            'ROOT %r = f32[16]{0} fusion(%z), kind=kCustom, '
            'calls=%all-reduce-scatter.1',
            ('reduce-scatter', 'ici', 1, 256, 192),
        ),
        (
            'ROOT %r = f32[1024]{0} collective-permute(%x), '
            'source_target_pairs={{0,1},{1,0}}',
            ('collective-permute', 'ici', 1, 4096, 4096),
        ),
        (
            # Between slices, through the hosts.
            'ROOT %r = (f32[64]{0}, u32[], token[]) send(%z, %x), '
            'is_host_transfer=true, frontend_attributes={'
            '_xla_megascale_transfer_type="ALL_REDUCE"}',
            ('all-reduce', 'dcn', 1, 256, 256),
        ),
    ],
)
def test_bytes_of_every_kind(line, expected):
  assert find(line, num_slices=2) == [expected]


def test_an_asynchronous_collective_counts_once():
  line = (
      '%{} = bf16[4096]{{0}} all-gather(%y), channel_id={}, '
      'replica_groups={{{{0,1}}}}, frontend_attributes={{chain_id="3"}}'
  )
  twice = '\n  '.join([line.format('a', 5), line.format('b', 5)])
  assert find(twice)[0][2] == 1
  other = '\n  '.join([line.format('a', 5), line.format('b', 6)])
  assert find(other)[0][2] == 2


def test_started_collectives_are_overlapped():
  lines = {
      '%s = (f32[1024]{0}, f32[1024]{0}) all-reduce-start(%x), '
      'replica_groups={{0,1}}': True,
      '%s = f32[1024]{0} all-reduce(%x), replica_groups={{0,1}}': False,
      '%s = f32[1024]{0} all-reduce(%x), replica_groups={{0,1}}\n  ROOT %c = '
      '(f32[1024]{0}) custom-call(%s), '
      'custom_call_target="AsyncCollectiveStart"': True,
  }
  for line, overlapped in lines.items():
    found = collectives.find(hlo.parse(PROGRAM % line), num_devices=8)
    assert [(x.group, x.overlapped) for x in found] == [(2, overlapped)], line


def test_a_send_within_a_slice_is_no_collective():
  assert find('ROOT %r = (f32[64]{0}, u32[]) send(%z, %x), channel_id=1') == []


def test_jitted_sums_on_eight_devices_have_known_bytes():
  script = """
import json
import jax, jax.numpy as jnp
from jax.sharding import PartitionSpec as P
from abaw_jax.forecasting import collectives, hlo

mesh = jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))

def f(x):
  def add(total, _):
    # Depends on the last total, so that the sum stays inside of the loop.
    return jax.lax.psum(jnp.sin(total) * x.sum(), 'data'), None
  return jax.lax.scan(add, jnp.zeros((32, 16)), length=5)[0]

mapped = jax.shard_map(
    f, mesh=mesh, in_specs=P('data'), out_specs=P(), check_vma=False
)
text = jax.jit(mapped).lower(jnp.ones(64)).compile().as_text()
found = collectives.find(hlo.parse(text), num_devices=8)
print(json.dumps([[x.kind, x.count, x.num_bytes, x.sent_bytes] for x in found]))
"""
  process = runs.start_code(script, JAX_NUM_CPU_DEVICES='8')
  status, out, error = runs.finish(process)
  assert status == 0, error
  size = 5 * 32 * 16 * 4
  assert json.loads(out) == [['all-reduce', 5, size, size * 2 * 7 // 8]]


def test_an_unknown_format_of_groups_is_refused():
  line = 'ROOT %r = f32[9]{0} all-reduce(%x), replica_groups=@mesh{x}, x'
  with pytest.raises(ValueError, match='unknown format of replica groups'):
    find(line)
