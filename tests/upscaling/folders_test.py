"""Folders of images: paths, formats, bad files, and a second command."""

import functools
import io
import time

import numpy as np
import PIL.Image
import pytest
import torch

from abaw_jax.conversion import convert
from abaw_jax.core import errors
from abaw_jax.upscaling import command, folders, pictures, upscalers
from benchmarks.twins import super_resolution as twins
from tests.training import runs


def picture(height=20, width=24, seed=0) -> PIL.Image.Image:
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
  return PIL.Image.fromarray(small).resize((width, height))


@pytest.fixture(name='source')
def _source(tmp_path):
  """Returns a folder with four good and three bad images."""
  folder = tmp_path / 'faces'
  (folder / 'ANGER').mkdir(parents=True)
  picture().save(folder / 'a.png')
  picture(seed=1).save(folder / 'ANGER' / 'b.jpg', quality=95)
  picture(17, 31).convert('L').save(folder / 'ANGER' / 'grey.bmp')
  picture().convert('RGBA').save(folder / 'ANGER' / 'c.PNG')
  buffer = io.BytesIO()
  picture(200, 200).save(buffer, 'JPEG')
  (folder / 'cut.jpg').write_bytes(buffer.getvalue()[:-500])
  (folder / 'empty.png').touch()
  (folder / 'text.jpg').write_text('no image')
  (folder / 'list.txt').write_text('no image')
  return folder


def load(path) -> np.ndarray:
  with PIL.Image.open(path) as found:
    return np.asarray(found)


def names(folder) -> set[str]:
  return {
      p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()
  }


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('same', {'a.png', 'ANGER/b.jpg', 'ANGER/grey.png', 'ANGER/c.PNG'}),
        ('jpeg', {'a.jpg', 'ANGER/b.jpg', 'ANGER/grey.jpg', 'ANGER/c.jpg'}),
        ('png', {'a.png', 'ANGER/b.png', 'ANGER/grey.png', 'ANGER/c.PNG'}),
    ],
)
def test_good_images_are_enlarged_and_bad_ones_named(
    source, tmp_path, kind, expected
):
  out = tmp_path / 'out'
  lines, bad = command.upscale(
      source, out, encoding=(kind, 95), model='lanczos', scale=2
  )
  assert names(out) == expected | {folders.CARD}
  assert '4 images enlarged 2 times' in lines[0]
  assert '3 are bad' in lines[0]
  assert [x.split(': ')[0] for x in sorted(bad)] == [
      str(source / x) for x in ('cut.jpg', 'empty.png', 'text.jpg')
  ]
  for name in expected:
    with PIL.Image.open(out / name) as found:
      want = 'JPEG' if name.endswith('.jpg') else 'PNG'
      assert (found.format, found.mode) == (want, 'RGB')
      assert found.size == ((62, 34) if 'grey' in name else (48, 40))
  if kind != 'jpeg':
    want = picture().resize((48, 40), PIL.Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(load(out / 'a.png'), want)


def test_a_second_command_writes_only_what_is_missing(source, tmp_path):
  out = tmp_path / 'out'
  upscale = lambda **options: command.upscale(  # noqa: E731
      source, out, **{'model': 'lanczos', 'scale': 2} | options
  )
  upscale()
  (out / 'a.png').unlink()
  before = (out / 'ANGER' / 'b.jpg').stat()
  lines, bad = upscale()
  assert '1 images enlarged 2 times' in lines[0]
  assert '3 exist already' in lines[0]
  assert len(bad) == 3
  assert (out / 'ANGER' / 'b.jpg').stat() == before
  with pytest.raises(
      errors.InputError, match='these images have scale=2, not 3'
  ):
    upscale(scale=3)
  upscale(scale=3, overwrite=True)
  assert load(out / 'a.png').shape == (60, 72, 3)
  # An original that is newer than its larger version.
  picture(seed=2).save(source / 'a.png')
  assert '1 images enlarged' in upscale(scale=3)[0][0]
  with pytest.raises(errors.InputError, match='these images have source='):
    command.upscale(source / 'ANGER', out, model='lanczos', scale=3)


def test_images_of_unknown_origin_are_not_taken_for_enlarged_ones(
    source, tmp_path
):
  out = tmp_path / 'out'
  out.mkdir()
  picture().save(out / 'a.png')
  upscale = lambda **options: command.upscale(  # noqa: E731
      source, out, model='lanczos', scale=2, **options
  )
  with pytest.raises(
      errors.InputError, match=r'a\.png: exists, and there is no'
  ):
    upscale()
  upscale(overwrite=True)
  assert load(out / 'a.png').shape == (40, 48, 3)
  (out / folders.CARD).write_text('{')
  with pytest.raises(errors.InputError, match=r'upscale\.json: cannot be read'):
    upscale()


def test_a_killed_overwrite_leaves_no_images_of_the_old_model(source, tmp_path):
  out, encoding = tmp_path / 'out', pictures.Encoding()
  folders.upscale(source, out, upscalers.Lanczos(2), encoding)

  class Killed(upscalers.Lanczos):

    def __call__(self, images):
      yield next(super().__call__(images))
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    folders.upscale(source, out, Killed(3), encoding, overwrite=True)
  result = folders.upscale(source, out, upscalers.Lanczos(3), encoding)
  assert (result.written, result.existing) == (3, 1)
  for name in ('a.png', 'ANGER/b.jpg', 'ANGER/c.PNG'):
    assert load(out / name).shape == (60, 72, 3)


def test_one_image_becomes_a_file_or_a_file_in_a_folder(source, tmp_path):
  options = {'model': 'lanczos', 'scale': 2}
  command.upscale(source / 'a.png', tmp_path / 'large.jpg', **options)
  assert pictures.is_jpeg((tmp_path / 'large.jpg').read_bytes())
  with pytest.raises(errors.InputError, match=r'large\.jpg: exists; give'):
    command.upscale(source / 'a.png', tmp_path / 'large.jpg', **options)
  command.upscale(source / 'a.png', tmp_path / 'out', **options)
  assert names(tmp_path / 'out') == {'a.png', folders.CARD}


def test_images_of_the_target_are_no_input(source):
  options = {'model': 'lanczos', 'scale': 2}
  first, _ = command.upscale(source, source / 'out', **options)
  second, _ = command.upscale(source, source / 'out', **options)
  assert '4 images enlarged' in first[0]
  assert '4 exist already' in second[0]


@pytest.mark.parametrize(
    ('name', 'out', 'words'),
    [
        ('faces', 'faces', 'would replace'),
        ('faces/a.png', 'faces/a.png', 'would replace'),
        ('faces/ANGER/b.jpg', 'x.bmp', 'give a .png or .jpg file'),
        ('nothing', 'out', 'nothing: does not exist'),
        ('void', 'out', 'void: has no image'),
    ],
)
def test_wrong_paths_are_one_line(source, tmp_path, name, out, words):
  del source
  (tmp_path / 'void').mkdir()
  with pytest.raises(errors.InputError, match=words):
    command.upscale(tmp_path / name, tmp_path / out, model='lanczos', scale=2)


def test_names_that_would_meet_are_one_line(source, tmp_path):
  picture().save(source / 'a.bmp')
  with pytest.raises(errors.InputError, match=r'a.bmp and .*: would both'):
    command.upscale(source, tmp_path / 'out', model='lanczos', scale=2)


def test_a_killed_command_resumes_with_several_devices(tmp_path):
  """Kills the command after its first file; the second run equals PyTorch."""
  faces = tmp_path / 'faces'
  faces.mkdir()
  for i in range(12):
    picture(16 + 16 * (i % 2), 32, seed=i).save(faces / f'{i:02d}.png')
  torch.manual_seed(0)
  twin = twins.SRVGGNetCompact(2, 8, 1)
  torch.save({'params': twin.state_dict()}, tmp_path / 'compact.pth')
  convert.import_weights(tmp_path / 'compact.pth', tmp_path / 'weights')
  out = tmp_path / 'out'
  start = functools.partial(
      runs.start, 'abaw_jax.upscale', str(faces),
      f'--model={tmp_path / "weights"}', f'--out={out}', '--batch_size=2',
      JAX_NUM_CPU_DEVICES='2',
  )  # fmt: skip
  process = start()
  end = time.monotonic() + 60
  while not list(out.glob('*.png')) and process.poll() is None:
    assert time.monotonic() < end
    time.sleep(0.002)
  process.kill()
  runs.finish(process)
  (out / '00.png.0123abcd.tmp').write_text('of a killed command')
  kept = {p: p.stat().st_mtime_ns for p in out.glob('*.png')}
  status, printed, error = runs.finish(start())
  assert status == 0, error
  count = f'{12 - len(kept)} images enlarged 2 times on 2 x cpu'
  assert count in printed
  for path, modified in kept.items():
    assert path.stat().st_mtime_ns == modified
  assert not list(out.glob('*.tmp'))
  for path in sorted(faces.glob('*.png')):
    pixels = load(path)
    batch = torch.tensor(pixels.transpose(2, 0, 1)[None] / np.float32(255))
    want = twin(batch).detach().clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    found = load(out / path.name)
    # The nearest grey level.
    np.testing.assert_allclose(found, want, atol=0.5 + 1e-3)
  torch.save(twins.SRVGGNetCompact(2, 8, 1).state_dict(), tmp_path / 'b.pth')
  convert.import_weights(tmp_path / 'b.pth', tmp_path / 'b' / 'weights')
  with pytest.raises(errors.InputError, match='these images have model='):
    command.upscale(
        faces, out, model=str(tmp_path / 'b' / 'weights'), batch_size=2
    )


def test_formats_follow_the_suffix():
  same, png, jpeg = map(pictures.Encoding, pictures.FORMATS)
  assert [same.suffix(x) for x in ('.JPG', '.png', '.webp')] == [
      '.JPG', '.png', '.png',
  ]  # fmt: skip
  assert [png.suffix(x) for x in ('.JPG', '.PNG')] == ['.png', '.PNG']
  assert [jpeg.suffix(x) for x in ('.jpeg', '.PNG')] == ['.jpeg', '.jpg']
