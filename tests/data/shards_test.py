"""Records of several files by position, in threads and after pickling."""

import concurrent.futures
import pickle

from array_record.python import array_record_module
import pytest

from abaw_jax.core import errors
from abaw_jax.data import shards


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """Returns (paths, lengths, all records); the third file is empty."""
  folder = tmp_path_factory.mktemp('shards')
  lengths = [3, 1, 0, 5]
  records = [bytes([i]) * (1 + 300 * i) for i in range(sum(lengths))]
  paths, rest = [], iter(records)
  for number, length in enumerate(lengths):
    paths.append(folder / f'part-{number}')
    writer = array_record_module.ArrayRecordWriter(
        str(paths[-1]), 'group_size:1'
    )
    for _ in range(length):
      writer.write(next(rest))
    writer.close()
  return paths, lengths, records


def test_positions_continue_through_all_files(files):
  paths, lengths, records = files
  found = shards.Shards(paths, lengths)
  assert len(found) == 9
  assert [found[i] for i in range(9)] == records
  for i in (8, 0, 3, 4, 3):
    assert found[i] == records[i]


@pytest.mark.parametrize('index', [-1, 9, 100])
def test_a_position_out_of_range_is_an_error(files, index):
  paths, lengths, _ = files
  with pytest.raises(IndexError, match=f'record {index} of 9'):
    shards.Shards(paths, lengths)[index]


def test_threads_and_copies_read_the_same_records(files):
  paths, lengths, records = files
  found = shards.Shards(paths, lengths)
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert [*pool.map(found.__getitem__, [*range(9)] * 20)] == records * 20
  copy = pickle.loads(pickle.dumps(found))
  assert [copy[i] for i in range(9)] == records


@pytest.mark.parametrize(
    'damage',
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(
            path.read_bytes().replace(bytes([4]) * 600, bytes(600))
        ),
    ],
    ids=['deleted', 'empty', 'truncated', 'changed'],
)
def test_an_error_names_the_damaged_file_and_the_record(tmp_path, damage):
  path = tmp_path / 'part-0'
  writer = array_record_module.ArrayRecordWriter(
      str(path), 'uncompressed,group_size:1'
  )
  writer.write(bytes([4]) * 1000)
  writer.close()
  assert shards.Shards([path], [1])[0] == bytes([4]) * 1000
  damage(path)
  with pytest.raises(
      errors.InputError, match=f'^{path}: record 0 of 1 cannot be read'
  ):
    shards.Shards([path], [1])[0]
