"""Joined archives, and packs of records without a header: no image is lost."""

import gzip
import tarfile

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from tests.data_builders import face_images_tree as tree


def archive(path, seeds) -> bytes:
  """Writes a tar archive with one image per seed; returns its bytes."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, 'w') as file:
    for seed in seeds:
      tree.add(file, f'{seed}.jpg', tree.image(seed))
  return path.read_bytes()


def images(tmp_path, config='tar') -> dict[str, bytes]:
  tree.run(tmp_path / 'source', tmp_path, config)
  splits = tree.read(tmp_path, config).values()
  return {name: data for records in splits for name, data in records}


@pytest.mark.parametrize('joined', ['plain', 'one stream', 'two streams'])
def test_joined_archives_are_read_to_the_end(tmp_path, joined):
  parts = [archive(tmp_path / 'a', [1, 2]), archive(tmp_path / 'b', [3, 4, 5])]
  files = {
      'plain': ('x.tar', b''.join(parts)),
      'one stream': ('x.tar.gz', gzip.compress(b''.join(parts))),
      'two streams': ('x.tgz', b''.join(map(gzip.compress, parts))),
  }
  name, data = files[joined]
  tree.put(tmp_path / 'source' / name, data)
  assert images(tmp_path) == {
      f'{name}!{seed}.jpg': tree.image(seed) for seed in range(1, 6)
  }


@pytest.mark.parametrize(
    'rest', [b'no archive' * 99, 'a copy of the first, cut off']
)
def test_damage_after_an_end_mark_is_refused(tmp_path, rest):
  first = archive(tmp_path / 'a', [1, 2])
  if isinstance(rest, str):
    rest = first[:1800]
  tree.put(tmp_path / 'source/x.tar', first + rest)
  with pytest.raises(errors.InputError, match=r'x\.tar: damaged after'):
    images(tmp_path)


@pytest.mark.parametrize('labels', [(0.0,), (3.0, 0.0), (3.0, 8.0, 1.0)])
def test_a_pack_without_header_keeps_every_record(tmp_path, labels):
  people = [3, 1, 2, 3, 1, 2, 0, 0, 1, 1, 2, 3]
  records = [
      tree.labelled((float(person), *labels[1:]), tree.image(i))
      for i, person in enumerate(people)
  ]
  (tmp_path / 'source').mkdir()
  tree.write_pack(tmp_path / 'source', records)
  assert images(tmp_path, 'recordio') == {
      f'train.rec[{i}]': tree.image(i) for i in range(12)
  }


def test_a_key_that_the_index_lacks_is_a_problem(tmp_path, capsys):
  tree.recordio(tmp_path)
  lines = (tmp_path / 'train.idx').read_text().splitlines()
  (tmp_path / 'train.idx').write_text('\n'.join(lines[:4] + lines[5:]))
  assert not check.check('face_images', source_dir=tmp_path, config='recordio')
  assert 'train.rec[4]: its key 4 is missing' in capsys.readouterr().out
