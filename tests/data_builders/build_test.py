"""A built dataset is complete and has the options of the call."""

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders import build, datasets
from abaw_jax.data_builders.s_aff_wild2 import records
from tests.data_builders import aff_wild2_tree as tree
from tests.data_builders import built

ROOT = pathlib.Path(build.__file__).parents[1]


def test_one_line_per_split_and_then_already_built(tmp_path, capsys):
  source = tree.small().write(tmp_path / 'source')
  built.run(source, tmp_path / 'data')
  out, err = capsys.readouterr()
  assert err == ''
  lines = out.splitlines()
  repeats = lines.pop(0)
  assert repeats.endswith('repeat the image of another row: train 1, test 1')
  assert len(lines) == 3
  for split, line in zip(built.SPLITS, lines, strict=True):
    assert line.startswith(f's_aff_wild2/sequences {split}: ')
    assert line.endswith(f' in {built.folder(tmp_path / "data")}')
  assert ' 2 examples, 9 rows, ' in lines[0]
  stamp = built.folder(tmp_path / 'data').stat().st_mtime_ns
  built.run(source, tmp_path / 'data')
  out, err = capsys.readouterr()
  assert out == (
      f's_aff_wild2/sequences: already built in {built.folder(tmp_path / "data")}\n'
  )
  assert built.folder(tmp_path / 'data').stat().st_mtime_ns == stamp
  assert sorted(os.listdir(tmp_path / 'data')) == ['s_aff_wild2']


def test_problems_fail_all_at_once_and_nothing_is_written(tmp_path):
  small = tree.small()
  small.train += [tree.line(f'116/{n}.jpg', '9,9') for n in range(30)]
  source = small.write(tmp_path / 'source')
  (source / 'cropped_aligned/28/00004.jpg').unlink()
  with pytest.raises(errors.InputError) as caught:
    built.run(source, tmp_path / 'data')
  first, *listed, last = str(caught.value).splitlines()
  assert first.startswith(f'31 problems in {source}; fix')
  assert '--on_error=skip' in first
  assert len(listed) == 20
  assert 'training_set_annotations.txt:11: valence 9 is out of' in listed[0]
  assert 'training_set_annotations.txt:30: ' in listed[-1]
  assert last.strip() == '... and 11 more'
  assert not (tmp_path / 'data').exists()


def test_skip_builds_the_rest_and_remembers_what_it_skipped(tmp_path, capsys):
  small = tree.small()
  small.train.insert(3, tree.line('116/00009.jpg', expression='11'))
  source = small.write(tmp_path / 'source')
  image = source / 'cropped_aligned/116/00003.jpg'  # lines 6 and 8
  image.write_bytes(image.read_bytes()[:-10])
  built.run(source, tmp_path / 'data', on_error='skip')
  out = capsys.readouterr().out
  assert 'built without 3 bad rows' in out
  assert sorted(built.rows(tmp_path / 'data', 'sequences', 'train')) == [
      0, 1, 3, 5, 7, 8, 9,
  ]  # fmt: skip
  list_file = 'training_set_annotations.txt'
  cut = 'image 116/00003.jpg: cut off: the JPEG has no end marker'
  assert built.metadata(tmp_path / 'data') == {
      'max_videos': None,
      'notes': ['rows that repeat the image of another row: test 1'],
      'rows': {'train': 7, 'validation': 1, 'test': 3},
      'skipped': [
          {
              'file': list_file,
              'line': 4,
              'reason': (
                  'expression 11 is out of range: 0..7, or -1 where missing'
              ),
          },
          {'file': list_file, 'line': 6, 'reason': cut},
          {'file': list_file, 'line': 8, 'reason': cut},
      ],
  }
  built.run(source, tmp_path / 'data', on_error='skip')
  assert 'already built without 3 bad rows' in capsys.readouterr().out


def test_skip_does_not_make_an_empty_split(tmp_path):
  source = tree.small().write(tmp_path / 'source')
  (source / 'cropped_aligned/28/00004.jpg').unlink()
  with pytest.raises(errors.InputError, match='no usable row in validation'):
    built.run(source, tmp_path / 'data', on_error='skip')
  assert not (tmp_path / 'data').exists()


def test_a_source_without_test_list_is_built_and_noted(tmp_path, capsys):
  small = tree.small()
  small.test = None
  built.run(small.write(tmp_path / 'source'), tmp_path / 'data')
  assert 'no test split' in capsys.readouterr().out
  builder = tfds.builder_from_directory(built.folder(tmp_path / 'data'))
  assert sorted(builder.info.splits) == ['train', 'validation']
  assert 'no test split' in built.metadata(tmp_path / 'data')['notes'][-1]


def test_a_limited_dataset_does_not_replace_a_full_one(tmp_path):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  built.run(source, data, max_videos=1)
  assert built.metadata(data)['max_videos'] == 1
  assert len(built.rows(data, 'sequences', 'train')) == 6
  for other in (None, 2):
    with pytest.raises(errors.InputError, match='--overwrite'):
      built.run(source, data, max_videos=other)
  assert built.metadata(data)['max_videos'] == 1
  built.run(source, data, overwrite=True)
  assert built.metadata(data)['max_videos'] is None
  assert len(built.rows(data, 'sequences', 'train')) == 9
  with pytest.raises(errors.InputError, match='no --max_videos, not with'):
    built.run(source, data, max_videos=1)


def test_overwrite_keeps_the_old_dataset_if_the_source_is_bad(tmp_path):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  built.run(source, data)
  (source / 'cropped_aligned/116/00001.jpg').unlink()
  with pytest.raises(errors.InputError, match='1 problem in'):
    built.run(source, data, overwrite=True)
  assert len(built.rows(data, 'sequences', 'train')) == 9


def test_an_interrupted_build_leaves_no_dataset(tmp_path, monkeypatch):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  sequences = records.sequences

  def interrupted(rows, size):
    yield next(sequences(rows, size))
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(records, 'sequences', interrupted)
    with pytest.raises(KeyboardInterrupt):
      built.run(source, data)
  assert not list(built.folder(data).parent.glob('*'))
  built.run(source, data)
  assert len(built.rows(data, 'sequences', 'train')) == 9


def test_the_folder_of_a_killed_build_is_reported_and_ignored(tmp_path, capsys):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  remains = built.folder(data).parent / 'incomplete.ABC123_1.0.0'
  remains.mkdir(parents=True)
  built.run(source, data)
  assert str(remains) in capsys.readouterr().out
  assert len(built.rows(data, 'sequences', 'train')) == 9


def test_a_folder_that_is_not_a_dataset_is_not_changed(tmp_path):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  built.folder(data).mkdir(parents=True)
  (built.folder(data) / 'thesis.txt').write_text('mine')
  for overwrite in (False, True):
    with pytest.raises(errors.InputError, match='is not a dataset'):
      built.run(source, data, overwrite=overwrite)
  assert (built.folder(data) / 'thesis.txt').read_text() == 'mine'


def test_a_data_dir_that_is_a_file_is_refused(tmp_path):
  source = tree.small().write(tmp_path)
  with pytest.raises(errors.InputError, match='is a file; name a folder'):
    built.run(source, source / 'training_set_annotations.txt')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            {'name': 'affwild'},
            "dataset: unknown value 'affwild'; choose one of s_aff",
        ),
        ({'configs': ['video']}, "'video'; choose one of sequences"),
        ({'on_error': 'hope'}, "'hope'; choose one of fail, skip"),
    ],
)
def test_unknown_names_list_the_known_ones(tmp_path, kwargs, message):
  kwargs = {'name': 's_aff_wild2', **kwargs}
  with pytest.raises(errors.InputError, match=message):
    build.build(source_dir=tmp_path, data_dir=tmp_path, **kwargs)


def test_the_table_has_every_dataset_under_its_name():
  builders = (ROOT / 'data_builders').glob('*/*_dataset_builder.py')
  assert {path.parent.name for path in builders} == set(datasets.DATASETS)
  for name, dataset in datasets.DATASETS.items():
    assert dataset.load().name == name
    assert dataset.rendered.keys() <= dataset.load().builder_configs.keys()


def command(*args) -> subprocess.CompletedProcess:
  return subprocess.run(
      [sys.executable, *map(str, args)],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
  )


def test_the_command_builds_quietly(tmp_path):
  source = tree.small().write(tmp_path / 'source')
  args = ('-m', 'data_builders.build', 's_aff_wild2', f'--source_dir={source}')
  done = command(*args, f'--data_dir={tmp_path}', '--config=sequences,frames')
  assert (done.returncode, done.stderr) == (0, '')
  assert len(done.stdout.splitlines()) == 7
  again = command(*args, f'--data_dir={tmp_path}', '--max_videos=1')
  assert again.returncode == 2
  assert again.stderr.startswith('error: ')
  assert len(again.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    'args', [(), ('s_aff_wild2',), ('a', 'b'), ('x', '--source_dir=.')]
)
def test_wrong_arguments_of_the_command_are_one_line(args):
  done = command('-m', 'data_builders.build', *args)
  assert done.returncode == 2
  assert done.stderr.startswith('error: ')
  assert len(done.stderr.splitlines()) == 1


def test_help_explains_itself():
  done = command('-m', 'data_builders.build', '--help')
  assert 'abaw-jax build s_aff_wild2' in done.stdout
  assert '--on_error: <fail|skip>' in done.stdout


def test_nothing_imports_tensorflow_or_torch_or_opens_a_connection(tmp_path):
  source = tree.small().write(tmp_path / 'source')
  script = f"""
import socket, sys
def refuse(*args, **kwargs):
  raise AssertionError('a connection was opened')
socket.socket.connect = socket.getaddrinfo = refuse
from abaw_jax.data_builders import build, check
loaded = [name for name in ('tensorflow_datasets', 'cv2') if name in sys.modules]
assert not loaded, loaded
build.build('s_aff_wild2', source_dir={str(source)!r}, data_dir={str(tmp_path)!r},
            configs=['sequences', 'frames'])
check.check('s_aff_wild2', source_dir={str(source)!r})
loaded = [name for name in ('tensorflow', 'torch', 'jax') if name in sys.modules]
assert not loaded, loaded
"""
  done = command('-c', script)
  assert done.returncode == 0, done.stderr
