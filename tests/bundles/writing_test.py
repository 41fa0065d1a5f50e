"""Bundles are written completely, and every damaged part is refused in one line."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import torch

from abaw_jax.bundles import bundle, storage, writing
from abaw_jax.checkpoints import weights
from abaw_jax.conversion import convert
from abaw_jax.core import errors, labels
from abaw_jax.inference import evaluation
from abaw_jax.porting import weight_files
from abaw_jax.scoring import prediction_files
from tests.bundles import made
from tests.conversion import identification_test

tiny = identification_test._tiny


@pytest.fixture(scope='module')
def folder(root, postprocessing, tmp_path_factory):
  """Returns a bundle of a frame model and a temporal model."""
  out = tmp_path_factory.mktemp('written') / 'face, video'
  report = writing.write_bundle(
      out,
      frame=root / 'frame',
      temporal=[root / 'mtl_gru'],
      postprocessing=postprocessing,
      licence="the data's: research only",
  )
  assert report[-1].endswith('weights, written')
  return out


def change(folder, tmp_path, edit, name=storage.CONFIG):
  """Returns a copy of a bundle with another JSON file, and right checksums."""
  copy = tmp_path / 'copy'
  shutil.copytree(folder, copy)
  content = json.loads((copy / name).read_text())
  edit(content)
  (copy / name).write_text(json.dumps(content))
  if name == storage.CONFIG:
    seal(copy)
  return copy


def seal(folder):
  sums = {name: weight_files.sha256(folder / name) for name in storage.FILES}
  (folder / storage.CHECKSUMS).write_text(json.dumps(sums))


def refused(folder) -> str:
  """Returns the line that refuses a bundle."""
  with pytest.raises(errors.InputError) as found:
    storage.read_bundle(folder)
  assert '\n' not in str(found.value)
  assert str(folder) in str(found.value)
  return str(found.value)


def test_the_same_bundle_is_kept_and_another_one_refused(
    folder, root, postprocessing
):
  parts = {
      'frame': root / 'frame',
      'temporal': [root / 'mtl_gru'],
      'postprocessing': postprocessing,
      'licence': "the data's: research only",
  }
  before = (folder / storage.CHECKSUMS).stat().st_mtime_ns
  assert 'there already' in writing.write_bundle(folder, **parts)[-1]
  with pytest.raises(errors.InputError, match='exists with other content'):
    writing.write_bundle(folder, **parts | {'licence': 'MIT'})
  assert (folder / storage.CHECKSUMS).stat().st_mtime_ns == before
  assert {path.name for path in folder.iterdir()} == {
      *storage.FILES, storage.CARD, storage.CHECKSUMS
  }  # fmt: skip


def test_the_card_says_what_a_user_must_know(folder, root):
  text = (folder / storage.CARD).read_text()
  header, body = text.removeprefix('---\n').split('\n---\n')
  assert "license_name: 'the data''s: research only'" in header.splitlines()
  assert 'pipeline_tag: video-classification' in header
  for part in (
      '# face, video',
      'not feelings',
      'run mtl_gru, step',
      'AU12',
  ):
    assert part in body
  # The run has predictions of another split only.
  assert 'Not scored' in body
  config = json.loads((folder / storage.CONFIG).read_text())
  assert config['provenance']['frame']['run'] == 'frame'


def test_scores_have_intervals(root, tmp_path):
  npz = root / 'mtl_gru' / 'predictions' / 'train.npz'
  copy = tmp_path / 'mtl_gru'
  shutil.copytree(root / 'mtl_gru', copy)
  shutil.copy(npz, copy / 'predictions' / 'validation.npz')
  writing.write_bundle(tmp_path / 'b', frame=root / 'frame', temporal=[copy])
  config = json.loads((tmp_path / 'b' / storage.CONFIG).read_text())
  value, low, high = config['scores']['scores']['VA']
  want = prediction_files.read(npz).scores()
  assert value == pytest.approx(want['VA'], abs=1e-4)
  assert low <= value <= high
  assert f'{value:.4f}' in (tmp_path / 'b' / storage.CARD).read_text()


@pytest.mark.parametrize(
    ('edit', 'text'),
    [
        (lambda c: c.update(version=2), "version is 2, and this program reads"),
        (lambda c: c.update(format='onnx'), "format is 'onnx'"),
        (lambda c: c.pop('alignment'), "the key 'alignment' is missing"),
        (lambda c: c['alignment'].update(size=0), 'alignment: size: 0'),
        (lambda c: c['labels']['expressions'].append('Bored'), "'Bored' is unknown"),
        (lambda c: c['labels']['aus'].append('AU45'), "'AU45' is unknown"),
        (lambda c: c['labels']['outputs'].append('gaze'), "'gaze' is unknown"),
        (lambda c: c['temporal'][0].update(window=1, stride=9), 'stride is 9'),
        (lambda c: c['temporal'][0].update(feature_dim=7), 'the features have'),
        (lambda c: c['temporal'][0]['model'].update(dim=8), 'the model wants'),
        (lambda c: c['temporal'][0]['model'].update(encoder='rnn'), "value 'rnn'"),
        (lambda c: c['frame']['model'].update(backbone='vit_x'), "value 'vit_x'"),
        (lambda c: c['preprocessing'].update(std=[0, 1, 1]), 'augment.std'),
        (lambda c: c['preprocessing'].update(views=3), 'preprocessing.views is 3'),
        (lambda c: c['postprocessing'].pop('bias'), 'expected the keys'),
        (lambda c: c.update(temporal=[]), 'holds parts that config.json does not'),
    ],
)  # fmt: skip
def test_a_wrong_config_is_one_line(folder, tmp_path, edit, text):
  assert text in refused(change(folder, tmp_path, edit))


def test_missing_and_changed_files_are_one_line(folder, tmp_path):
  for name in (*storage.FILES, storage.CARD, storage.CHECKSUMS):
    copy = tmp_path / name
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    assert f'{name}: this file of the bundle is missing' in refused(copy)
  copy = tmp_path / 'copy'
  shutil.copytree(folder, copy)
  with (copy / storage.CARD).open('a') as card:
    card.write('more')  # a person may edit the card
  storage.read_bundle(copy)
  with (copy / storage.CONFIG).open('a') as config:
    config.write(' ')
  assert 'config.json: its SHA-256 differs' in refused(copy)
  (copy / storage.CONFIG).write_text('{')
  assert 'config.json: is not JSON' in refused(copy)
  assert 'there is no such folder' in refused(tmp_path / 'nothing')


def test_other_tensors_are_one_line(folder, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(folder, copy)
  path = copy / storage.TENSORS
  tensors = safetensors.numpy.load_file(path)
  name = next(name for name in tensors if name.startswith('temporal0/au'))
  value = tensors.pop(name)
  safetensors.numpy.save_file(tensors, path)
  seal(copy)
  assert f'missing {name.removeprefix("temporal0/")}' in refused(copy)
  safetensors.numpy.save_file(tensors | {name: value[..., :1].copy()}, path)
  seal(copy)
  assert 'the model wants' in refused(copy)


def test_parts_that_do_not_fit_are_refused(root, tmp_path, postprocessing):
  def fails(text, **parts):
    with pytest.raises(errors.InputError, match=text):
      writing.write_bundle(
          tmp_path / 'out', **{'frame': root / 'frame'} | parts
      )
    assert not (tmp_path / 'out').exists()

  mtl = {'temporal': [root / 'mtl']}
  # The features of another network have another checksum in their card.
  card = root / 's_aff_wild2_features' / 'small' / '1.0.0' / 'card.json'
  other = tmp_path / card.relative_to(root)
  other.parent.mkdir(parents=True)
  content = json.loads(card.read_text())
  other.write_text(json.dumps(content | {'sha256': 'abc'}))
  fails("small of .* made with sha256='abc'", data_dir=tmp_path, **mtl)
  other.write_text(json.dumps(content | {'mean': [0.5, 0.5, 0.5]}))
  fails(r'made with mean=\[0\.5, 0\.5, 0\.5\]', data_dir=tmp_path, **mtl)
  other.write_text(json.dumps({'dim': content['dim']}))
  fails('its features small were imported', data_dir=tmp_path, **mtl)
  by_video = tmp_path / 'by_video'
  shutil.copytree(root / 'mtl', by_video)
  config = json.loads((by_video / 'config.json').read_text())
  config['data']['norm'] = 'video'
  (by_video / 'config.json').write_text(json.dumps(config))
  fails('norm=video needs the mean of the full video', temporal=[by_video])
  fails('is not a run of a temporal model', temporal=[root / 'frame'])
  fails('predicts no labels of single images', frame=root / 'mtl')
  fails('have 6 frames', stride=7, **mtl)
  fails('cannot overlap', stride=2, temporal=[root / 'mtl_gru'])
  fails('there is no temporal model', stride=2)
  fails('is no converted classifier with Contempt', contempt='other')
  fails('cannot be read', alignment='none.json')
  two = [root / 'mtl', root / 'mtl_gru']
  fails('weights.va has 1 members', temporal=two, postprocessing=postprocessing)
  fails('no such file', data_dir=tmp_path / 'moved', **mtl)


def test_several_temporal_runs_are_blended(root, tmp_path):
  out = tmp_path / 'blend'
  members = [root / 'mtl', root / 'mtl_gru']
  writing.write_bundle(
      out, frame=root / 'frame', temporal=members, stride=made.WINDOW
  )
  video, data = next(iter(made.videos(root).items()))
  predictor = bundle.load(out)
  track = predictor.track()
  numbers = data['frame_id']
  first = track.push(predictor.embed(data['faces']), numbers, numbers / 30)
  rest = track.finish()
  want = []
  for run in members:
    rows = prediction_files.read(evaluation.file(run, made.SPLIT))
    rows = rows.take(rows.video == video)
    want.append(rows.valence[np.unique(rows.frame_id, return_index=True)[1]])
  np.testing.assert_allclose(
      np.concatenate([first.valence, rest.valence]),
      np.mean(want, axis=0),
      atol=2e-5,
  )


def test_converted_weights_keep_their_own_expressions(tmp_path):
  twin = identification_test.network(classes=10)
  torch.save(twin, tmp_path / 'net.pth')
  convert.import_weights(
      tmp_path / 'net.pth', tmp_path / 'net', preprocessing='emotiefflib'
  )
  order = weights.read_labels(tmp_path / 'net')
  size = identification_test.SIZE
  faces = np.random.default_rng(0).integers(
      0, 256, (3, size, size, 3), np.uint8
  )
  with torch.no_grad():
    mean, std = map(np.float32, identification_test.IMAGENET)
    pixels = (faces / np.float32(255) - mean) / std
    logits = twin(torch.from_numpy(pixels).permute(0, 3, 1, 2))[
        'logits'
    ].numpy()
  known = [name for name in labels.EXPRESSIONS if name in order]
  for contempt, names in (
      (None, [*known, 'Contempt']),
      ('left_out', known),
  ):
    out = tmp_path / f'{contempt}'
    writing.write_bundle(out, frame=tmp_path / 'net', contempt=contempt)
    predictor = bundle.load(out)
    assert predictor.outputs == ('valence', 'arousal', 'expression')
    assert predictor.expressions == tuple(names)
    assert predictor.alignment.method == 'box'
    rows = predictor.frame_scores(predictor.embed(faces))
    chosen = [order.index(name) for name in names]
    powers = np.exp(logits[:, chosen].astype(np.float64))
    want = powers / powers.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(rows.expression, want, atol=1e-4)
    np.testing.assert_allclose(rows.valence, logits[:, 8], atol=1e-4)
    assert rows.au is rows.au_decisions is None
  writing.write_bundle(tmp_path / 'b', frame=tmp_path / 'net', contempt='other')
  read = storage.read_bundle(tmp_path / 'b')
  assert read.expressions == (*known, 'Other')
  assert read.networks[0].classes.index('Other') == order.index('Contempt')
