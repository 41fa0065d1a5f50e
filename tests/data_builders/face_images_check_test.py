"""The counts of a source of faces, compared with the files of the test."""

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.face_images import counts
from abaw_jax.data_builders.face_images.face_images_dataset_builder import (
    Builder,
)
from tests.data_builders import face_images_tree as tree


def run(source, config, **kwargs) -> bool:
  return check.check('face_images', source_dir=source, config=config, **kwargs)


@pytest.mark.parametrize('config', tree.WRITERS)
def test_counts_equal_what_was_written(tmp_path, capsys, config):
  written = tree.WRITERS[config](tmp_path)
  assert run(tmp_path, config, subset=True, decode=True)
  report = Builder.report(tmp_path, config=config)
  assert report.problems == []
  found = {
      split: {field: n for field, (n, _) in fields.items()}
      for split, fields in report.counts.items()
  }
  expected = {}
  for split, images in written.items():
    groups = [group for _, group in images.values()]
    alone = sum(group == '' for group in groups)
    expected[split or 'all'] = {
        'images': len(images),
        'groups': len(set(groups) - {''}) + alone,
    }
  assert found == expected
  out = capsys.readouterr().out
  assert ('differs' in out) == (config in counts.PUBLISHED)


def test_published_counts_are_compared(tmp_path, capsys, monkeypatch):
  tree.celeba(tmp_path)
  assert not run(tmp_path, 'celeba')
  out = capsys.readouterr().out
  assert out.count('differs') == 3
  assert '162,770' in out
  numbers = {'train': 5, 'validation': 2, 'test': 2}
  published = {split: {'images': n} for split, n in numbers.items()}
  monkeypatch.setitem(counts.PUBLISHED, 'celeba', published)
  assert run(tmp_path, 'celeba')
  assert 'counts that differ: 0' in capsys.readouterr().out


def test_published_counts_agree_with_one_another():
  celeba = counts.PUBLISHED['celeba'].values()
  assert sum(fields['images'] for fields in celeba) == 202_599


def test_only_decode_finds_truncated_images(tmp_path, capsys):
  tree.listed(tmp_path)
  image = tmp_path / 'a/1.jpg'
  image.write_bytes(image.read_bytes()[:-5])
  assert run(tmp_path, 'list')
  assert not run(tmp_path, 'list', decode=True)
  assert 'list.txt:1: image a/1.jpg: cut off' in capsys.readouterr().out
  image.unlink()
  assert not run(tmp_path, 'list')
  assert 'list.txt:1: image a/1.jpg: missing' in capsys.readouterr().out


def test_a_layout_has_to_be_named(tmp_path):
  with pytest.raises(errors.InputError, match='--config: folders, list'):
    check.check('face_images', source_dir=tmp_path)
  with pytest.raises(errors.InputError, match="unknown value 'zip'"):
    run(tmp_path, 'zip')
  with pytest.raises(errors.InputError, match='no image in the layout folders'):
    run(tmp_path, 'folders')
  with pytest.raises(errors.InputError, match='--config does not apply to s_'):
    check.check('s_aff_wild2', source_dir=tmp_path, config='frames')
