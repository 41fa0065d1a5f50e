"""Rendered faces in the layouts of other datasets, read by their builders."""

import hashlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.data import sources, transforms
from abaw_jax.data_builders import build, check, datasets
from abaw_jax.data_builders.procedural import stills
from abaw_jax.data_builders.procedural.layouts import registry
from abaw_jax.tasks import registry as tasks
from abaw_jax.workflow import procedural
from tests.data_builders import labelled_tree as tree
from tests.training import runs

# Dataset -> masks of the tasks for which it has labels.
TASKS = {
    'affectnet': ('va', 'expr'),
    'fer_plus': ('expr',),
    'raf_db': ('expr',),
    'lsd': ('expr',),
    'emotionet': ('au_mask',),
    'identities': (),
}
# Layout -> (dataset, its first config with this layout, masks).
BUILT = {
    layout: (name, config, TASKS[name])
    for name in TASKS
    for config, layout in reversed(datasets.DATASETS[name].rendered.items())
}
FIELDS = {
    'video', 'frame_id', 'row', 'label', 'image', 'valence', 'arousal',
    'expression', 'au', 'va', 'expr', 'au_mask',
}  # fmt: skip
SIZE = {'videos': 12, 'frames': 5, 'seed': 1}


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with every layout, rendered and built."""
  root = tmp_path_factory.mktemp('layouts')
  for layout, (name, config, _) in BUILT.items():
    stills.write(root / 'source' / layout, layout, workers=1, **SIZE)
    given = {'num_workers': 1} if name == 'identities' else {}
    build.build(
        name,
        source_dir=root / 'source' / layout,
        data_dir=root,
        configs=[config],
        **given,
    )
  return root


def digests(out: pathlib.Path) -> dict[str, str]:
  return {
      str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
      for path in sorted(out.rglob('*'))
      if path.is_file()
  }


@pytest.mark.parametrize('layout', BUILT)
def test_check_finds_no_problem(root, layout, capsys):
  name, config, _ = BUILT[layout]
  given = {'config': config} if name in ('affectnet', 'identities') else {}
  source = root / 'source' / layout
  assert check.check(name, source_dir=source, subset=True, decode=True, **given)
  assert 'problems: 0' in capsys.readouterr().out


@pytest.mark.parametrize('layout', [k for k in BUILT if k != 'identities'])
@pytest.mark.parametrize('split', ['train', 'validation'])
def test_records_are_frames_with_the_right_masks(root, layout, split):
  name, config, tasks = BUILT[layout]
  records = sources.Records(root, name, config, split)
  votes = {'votes'} if name == 'fer_plus' else set()
  assert records[0].keys() == FIELDS | votes
  batch = transforms.frame_batch(records, rows=len(records) + 1, image_size=32)
  real = batch['real']
  assert real.sum() == len(records)
  assert batch['image'].shape[1:] == (32, 32, 3)
  assert batch['image'][real].std() > 5
  for mask in ('va', 'expr', 'au_mask'):
    assert batch[mask].any() == (mask in tasks), mask
    assert not batch[mask][~real].any()
  assert (batch['valence'][~batch['va']] == 0).all()
  assert (batch['au'][~batch['au_mask']] == 0).all()
  assert np.abs(batch['valence']).max() <= 1
  assert set(batch['au'].ravel().tolist()) <= {0, 1}
  assert batch['expression'].max() < labels.NUM_EXPRESSIONS
  if layout == 'affectnet_2021':
    assert batch['va'][real].all()
    assert batch['expr'][real].all()


@pytest.mark.parametrize('name', ['fer_plus', 'raf_db', 'emotionet'])
def test_they_train_the_frame_task(root, name):
  config = runs.smoke('frame', root, data__name=name)
  for split in ('train', 'validation'):
    source = tasks.make_task(config).source(split)
    batch = tasks.make_task(config).transform()([source[0]], rows=2)
    assert batch['real'].tolist() == [True, False]
    assert batch['expr'][0] == source[0]['expr']


def test_an_image_of_two_faces_gives_two_records(root):
  train = tree.read(root, 'affectnet/manual_2017')['train'].values()
  names = [record['video'] for record in train]
  assert len(set(names)) < len(names)
  second = [record for record in train if record['frame_id'] == 1]
  assert second
  for record in second:
    (first,) = (
        r for r in train
        if r['video'] == record['video'] and r['frame_id'] == 0
    )  # fmt: skip
    assert first['image'] != record['image']


def test_both_releases_of_affectnet_have_the_same_labels(root):
  old, new = (
      tree.read(root, f'affectnet/{config}')['train']
      for config in ('manual_2017', 'release_2021')
  )
  assert set(old) < set(new)  # 2017 has rows without a label
  for row, record in old.items():
    assert record['label'] == new[row]['label']
    np.testing.assert_allclose(
        record['valence'], new[row]['valence'], atol=1e-4
    )


def test_the_majority_of_votes_is_the_true_expression(root):
  faces = tree.read(root, 'affectnet/release_2021')
  shown = [
      faces[split][row]['expression']
      for split in ('train', 'validation')
      for row in sorted(faces[split])
  ]
  for rows in tree.read(root, 'fer_plus/frames').values():
    for row, record in rows.items():
      assert record['votes'].sum() == 10
      if record['expr']:
        assert record['expression'] == shown[row]


def test_every_person_has_a_folder(root):
  records = [
      record
      for split in ('train', 'validation')
      for record in sources.Records(root, 'identities', 'folders', split)
  ]
  assert len({record['identity'] for record in records}) == SIZE['videos']
  for record in records:
    assert record['name'].startswith(b'people/')


def test_files_are_the_same_for_any_number_of_workers(root, tmp_path):
  stills.write(tmp_path / 'two', 'affectnet_2017', workers=2, **SIZE)
  expected = digests(root / 'source' / 'affectnet_2017')
  assert digests(tmp_path / 'two') == expected


def test_a_complete_folder_is_kept_and_an_interrupted_one_starts_again(
    root, tmp_path
):
  out = root / 'source' / 'raf_db'
  assert 'nothing to do' in stills.write(out, 'raf_db', workers=1, **SIZE)
  for change in ({'seed': 2}, {'frames': None}):
    with pytest.raises(errors.InputError, match='card of another corpus'):
      stills.write(out, 'raf_db', workers=1, **{**SIZE, **change})
  stray = tmp_path / 'basic/Image/aligned/train_99999_aligned.jpg'
  stray.parent.mkdir(parents=True)
  stray.write_bytes(b'half')
  (tmp_path / 'corpus.unfinished.json').write_text('{')
  stills.write(tmp_path, 'raf_db', workers=1, **SIZE)
  assert digests(tmp_path) == digests(out)
  assert json.loads((out / 'corpus.json').read_text())['args']['videos'] == 12


def test_the_command_offers_every_layout(tmp_path):
  assert (
      datasets.VIDEO_LAYOUT,
      *registry.LAYOUTS,
  ) == datasets.RENDERED_LAYOUTS
  assert BUILT.keys() == registry.LAYOUTS.keys()
  for name, (layout, config, _) in procedural.STILLS.items():
    assert datasets.DATASETS[name].rendered[config] == layout
  done = subprocess.run(
      [
          sys.executable, '-m', 'data_builders.procedural', '--layout=raf_db',
          '--videos=2', f'--out={tmp_path / "new"}',
      ],
      capture_output=True,
      text=True,
      check=False,
  )  # fmt: skip
  assert done.returncode == 2
  assert done.stderr == (
      'error: --videos=2 leaves a split without videos; give at least 3\n'
  )
