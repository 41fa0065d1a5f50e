"""The table of counts, compared with a simple parser in the test."""

import csv
import pathlib
import subprocess
import sys

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.s_aff_wild2 import counts
from tests.data_builders import aff_wild2_tree as tree

LISTS = {
    'train': 'training_set_annotations.txt',
    'validation': 'validation_set_annotations.txt',
    'test': 'test_set/MTL_Challenge_test_set_release.txt',
}


def table(out: str) -> dict[str, dict[str, tuple[int, int, bool]]]:
  """Returns split -> field -> (found, published, marked) of a printed table."""
  splits = {}
  for line in out.splitlines():
    if line.endswith('published'):
      fields = splits.setdefault(line.split()[0], {})
    elif line.startswith('  ') and ':' not in line:
      words = line.replace(',', '').removesuffix('differs').split()
      name = ' '.join(words[:-2])
      found, published = map(int, words[-2:])
      fields[name] = (found, published, line.endswith('differs'))
  return splits


def recount(root: pathlib.Path, split: str) -> dict[str, int]:
  """Returns the counts of a list by an independent parser."""
  path = root / LISTS[split]
  with path.open() as file:
    lines = list(csv.reader(file))[1:]
  names = [line[0] for line in lines]
  va = expr = au = labelled = 0
  for line in lines:
    if split == 'test':
      continue
    this_va = float(line[1]) != -5 and float(line[2]) != -5
    this_expr = float(line[3]) != -1
    this_au = all(float(value) != -1 for value in line[4:16])
    va, expr, au = va + this_va, expr + this_expr, au + this_au
    labelled += this_va or this_expr or this_au
  return {
      'rows': len(lines),
      'videos': len({name.split('/')[0] for name in names}),
      'repeated rows': sum(names[:i].count(n) > 0 for i, n in enumerate(names)),
      'rows with a label': labelled,
      'VA valid': va,
      'EXPR valid': expr,
      'AU valid': au,
      'images on disk': len(
          {n for n in names if (path.parent / 'cropped_aligned' / n).exists()}
      ),
  }


def test_counts_equal_an_independent_count(tmp_path, capsys):
  source = tree.small().write(tmp_path)
  assert not check.check('s_aff_wild2', source_dir=source)
  out = capsys.readouterr().out
  splits = table(out)
  assert list(splits) == ['train', 'validation', 'test']
  for split, fields in splits.items():
    expected = recount(source, split)
    assert {name: found for name, (found, _, _) in fields.items()} == expected
    for name, (found, published, marked) in fields.items():
      assert published == counts.PUBLISHED[split][name]
      assert marked == (found != published)
  # The fields of the training list have different counts.
  assert recount(source, 'train') == {
      'rows': 9,
      'videos': 2,
      'repeated rows': 1,
      'rows with a label': 8,
      'VA valid': 7,
      'EXPR valid': 7,
      'AU valid': 7,
      'images on disk': 8,
  }
  assert 'problems: 0' in out


def test_published_counts_agree_with_one_another():
  for fields in counts.PUBLISHED.values():
    assert fields['rows'] == fields['repeated rows'] + fields['images on disk']
  rows = [fields['rows'] for fields in counts.PUBLISHED.values()]
  assert sum(rows) == 220_417
  images = [fields['images on disk'] for fields in counts.PUBLISHED.values()]
  assert images[0] + images[1] == 168_097


def test_a_copy_with_the_published_counts_is_correct(
    tmp_path, capsys, monkeypatch
):
  source = tree.small().write(tmp_path)
  published = {split: recount(source, split) for split in LISTS}
  monkeypatch.setattr(counts, 'PUBLISHED', published)
  assert check.check('s_aff_wild2', source_dir=source)
  assert 'differs' not in capsys.readouterr().out
  published['test']['videos'] += 1
  assert not check.check('s_aff_wild2', source_dir=source)
  marked = [
      (split, name)
      for split, fields in table(capsys.readouterr().out).items()
      for name, field in fields.items()
      if field[2]
  ]
  assert marked == [('test', 'videos')]


def test_for_a_subset_only_problems_matter(tmp_path, capsys):
  source = tree.small().write(tmp_path)
  assert check.check('s_aff_wild2', source_dir=source, subset=True)
  image = source / 'cropped_aligned/116/00001.jpg'
  image.write_bytes(image.read_bytes()[:-9])
  assert check.check('s_aff_wild2', source_dir=source, subset=True)
  assert not check.check(
      's_aff_wild2', source_dir=source, subset=True, decode=True
  )
  assert 'annotations.txt:4: image 116/00001.jpg: cut off' in (
      capsys.readouterr().out
  )
  image.unlink()
  assert not check.check('s_aff_wild2', source_dir=source, subset=True)
  out = capsys.readouterr().out
  assert 'problems: 1' in out
  assert table(out)['train']['rows'][0] == 9
  assert table(out)['train']['images on disk'][0] == 7


def test_a_copy_without_test_list_has_zero_counts_and_a_note(tmp_path, capsys):
  small = tree.small()
  small.test = None
  assert check.check(
      's_aff_wild2', source_dir=small.write(tmp_path), subset=True
  )
  out = capsys.readouterr().out
  assert {found for found, _, _ in table(out)['test'].values()} == {0}
  assert 'no test split' in out


def test_an_unknown_dataset_lists_the_known_ones(tmp_path):
  with pytest.raises(errors.InputError, match='choose one of s_aff_wild2'):
    check.check('affwild', source_dir=tmp_path)


def test_the_command_gives_the_exit_status(tmp_path):
  source = tree.small().write(tmp_path / 'source')

  def status(*args: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, '-m', 'data_builders.check', *args],
        cwd=pathlib.Path(check.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr

  name = 's_aff_wild2'
  assert status(name, f'--source_dir={source}') == (1, '')
  assert status(name, f'--source_dir={source}', '--subset') == (0, '')
  code, error = status(name, f'--source_dir={tmp_path}')
  assert code == 2
  assert error.startswith('error: ')
  assert len(error.splitlines()) == 1
