"""An enlarged dataset keeps its rows, labels and splits, and resumes."""

import hashlib
import json
import signal

import numpy as np
import PIL.Image
import pytest

from abaw_jax.core import errors, fingerprint
from abaw_jax.data import images, sources
from abaw_jax.upscaling import command, datasets, pictures, upscalers
from tests.data_builders import labelled_tree as tree
from tests.training import runs


@pytest.fixture(name='lsd')
def _lsd(tmp_path):
  """Returns `<data_dir>/lsd/frames`, with 12 and 6 and 3 images."""
  tree.run('lsd', tree.lsd(tmp_path / 'source'), tmp_path / 'data')
  return tmp_path / 'data' / 'lsd' / 'frames'


def read(data_dir, name, config, split):
  return list(sources.Records(data_dir, name, config, split))


def test_only_images_change(lsd, tmp_path):
  data, out = lsd.parents[1], tmp_path / 'large'
  lines, bad = command.upscale(
      lsd.parent, out, model='lanczos', scale=3, splits=['train', 'test']
  )
  assert not bad
  assert f'{out / "lsd" / "frames"}: 15 images enlarged 3 times' in lines[0]
  for split, scale in (('train', 3), ('validation', 1), ('test', 3)):
    pairs = zip(
        read(data, 'lsd', 'frames', split),
        read(out, 'lsd', 'frames', split),
        strict=True,
    )
    for old, new in pairs:
      for field in old.keys() - {'image'}:
        np.testing.assert_array_equal(old[field], new[field])
      if scale == 1:
        assert old['image'] == new['image']
        continue
      before, after = images.decode(old['image']), images.decode(new['image'])
      want = PIL.Image.fromarray(before).resize(
          (72, 60), PIL.Image.Resampling.LANCZOS
      )
      assert after.shape == (60, 72, 3)
      # A JPEG of quality 95.
      assert np.abs(np.asarray(want, float) - after).mean() < 4
      assert new['image'].startswith(b'\xff\xd8')
  old, new = (sources.fingerprint(x, 'lsd/frames') for x in (data, out))
  assert new['source'] == {'lsd/frames': old}
  assert new['options'] == old['options']
  for split, changed in (('train', True), ('validation', False)):
    before, after = (x['splits'][split] for x in (old, new))
    # The names of digests, and the kinds that differ.
    assert before.keys() == after.keys()
    assert {k for k in before if before[k] != after[k]} == (
        {'images'} if changed else set()
    )
  metadata = sources.info(out, 'lsd', 'frames').metadata
  assert metadata['upscaled_from'] == 'lsd/frames'
  rest = dict(sources.info(data, 'lsd', 'frames').metadata)
  assert {k: metadata[k] for k in rest} == rest
  card = json.loads((out / 'lsd/frames/1.0.0/card.json').read_text())
  assert (card['model'], card['scale']) == ('lanczos', 3)


# The command is killed when it writes the second of two records of its third shard.
_KILLED = """
import os, pathlib, signal, sys
from abaw_jax.core import fingerprint
from abaw_jax.upscaling import command, datasets
datasets._IMAGES_PER_SHARD = 2
add, calls = fingerprint.Digest.add, []
def kill(self, record):
  calls.append(record)
  if len(calls) == 6:
    os.kill(os.getpid(), signal.SIGKILL)
  add(self, record)
fingerprint.Digest.add = kill
command.upscale(*map(pathlib.Path, sys.argv[1:3]), encoding=('png', 95),
                model='lanczos', scale=2, name='x2')
"""


def test_a_killed_command_keeps_its_shards(lsd, tmp_path, monkeypatch):
  monkeypatch.setattr(datasets, '_IMAGES_PER_SHARD', 2)
  encoding, out = pictures.Encoding('png'), tmp_path / 'out'
  status, _, error = runs.finish(runs.start_code(_KILLED, str(lsd), str(out)))
  assert status == -signal.SIGKILL, error
  work = out / 'x2' / 'frames' / '1.0.0.incomplete'
  kept = {path: _checksum(path) for path in work.glob('*array_record-*-of-*')}
  kept = {k: x for k, x in kept.items() if k.suffix not in ('.json', '.tmp')}
  assert len(kept) == 2
  assert len(list(work.glob('*.tmp'))) == 1
  with pytest.raises(errors.InputError, match='found none'):
    sources.info(out, 'x2', 'frames')
  with pytest.raises(
      errors.InputError, match='these images have scale=2, not 3'
  ):
    datasets.upscale(lsd, out, upscalers.Lanczos(3), encoding, name='x2')
  upscale = lambda name: datasets.upscale(  # noqa: E731
      lsd, out, upscalers.Lanczos(2), encoding, name=name
  )
  assert upscale('x2') == (17, 4, [])
  assert upscale('x2') == (0, 21, [])
  final = work.with_name('1.0.0')
  for path, checksum in kept.items():
    assert _checksum(final / path.name) == checksum
  assert not list(final.glob('*.tmp'))
  upscale('undisturbed')
  for split in ('train', 'validation', 'test'):
    pairs = zip(
        read(out, 'x2', 'frames', split),
        read(out, 'undisturbed', 'frames', split),
        strict=True,
    )
    for one, two in pairs:
      assert (one['image'], one['row']) == (two['image'], two['row'])


def _checksum(path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sequences_are_enlarged_frame_by_frame(data_dir, tmp_path):
  old = data_dir / 's_aff_wild2' / 'sequences'
  result = datasets.upscale(
      old, tmp_path, upscalers.Lanczos(2), pictures.Encoding('png')
  )
  rows = sources.info(data_dir, 's_aff_wild2', 'sequences').metadata['rows']
  assert result.written == sum(rows.values())
  for before, after in zip(
      read(data_dir, 's_aff_wild2', 'sequences', 'validation'),
      read(tmp_path, 's_aff_wild2', 'sequences', 'validation'),
      strict=True,
  ):
    assert before['row'].tolist() == after['row'].tolist()
    for one, two in zip(before['image'], after['image'], strict=True):
      height, width, _ = images.decode(one).shape
      want = PIL.Image.fromarray(images.decode(one)).resize(
          (2 * width, 2 * height), PIL.Image.Resampling.LANCZOS
      )
      np.testing.assert_array_equal(images.decode(two), want)


def test_a_bad_image_is_named_and_the_rest_is_kept(lsd, tmp_path, monkeypatch):
  monkeypatch.setattr(datasets, '_IMAGES_PER_SHARD', 2)
  decode, seen = images.decode, []

  def fail_once(encoded):
    seen.append(encoded)
    if len(seen) == 5:
      raise errors.InputError('image cannot be decoded')
    return decode(encoded)

  monkeypatch.setattr(images, 'decode', fail_once)
  lanczos, encoding = upscalers.Lanczos(2), pictures.Encoding()
  result = datasets.upscale(lsd, tmp_path, lanczos, encoding)
  (line,) = result.bad
  assert 'lsd/frames/1.0.0 ' in line
  assert 'cannot be decoded' in line
  assert result.written >= 18
  again = datasets.upscale(lsd, tmp_path, lanczos, encoding)
  assert again == (21 - result.written, result.written, [])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'splits': ['training']}, "unknown value 'training'"),
        ({'data_dir': 'same'}, 'has the original lsd/frames'),
    ],
)
def test_wrong_targets_are_one_line(lsd, tmp_path, options, words):
  data_dir = lsd.parents[1] if 'data_dir' in options else tmp_path
  splits = options.get('splits', ())
  with pytest.raises(errors.InputError, match=words):
    datasets.upscale(
        lsd,
        data_dir,
        upscalers.Lanczos(2),
        pictures.Encoding(),
        splits=splits,
    )


def test_a_rebuilt_original_is_noticed(lsd, tmp_path):
  data = lsd.parents[1]
  datasets.upscale(
      lsd, data, upscalers.Lanczos(2), pictures.Encoding(), name='lsd_x2'
  )
  assert sources.fingerprint(data, 'lsd_x2/frames')
  folder = lsd / '1.0.0'
  found = fingerprint.read(folder)
  found['splits']['train']['images'] = '0' * 64
  fingerprint.write(folder, found)
  with pytest.raises(errors.InputError, match='lsd/frames has changed: images'):
    sources.fingerprint(data, 'lsd_x2/frames')
