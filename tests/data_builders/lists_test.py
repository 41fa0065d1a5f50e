"""Lists and folders as other programs leave them: encodings, separators, clutter."""

import codecs
import os
import pathlib
import subprocess
import sys

import pytest

from abaw_jax.core import errors, text_files
from abaw_jax.data_builders import check
from tests.data_builders import aff_wild2_tree, face_images_tree
from tests.data_builders import labelled_tree as tree

# A list of each reader, with the function that writes its source.
LISTS = {
    'fer_plus': (tree.fer_csv, 'fer2013new.csv'),
    'raf_db': (tree.raf_db, 'basic/EmoLabel/list_patition_label.txt'),
    'lsd': (tree.lsd, 'LSD_Challenge_test_set_release.txt'),
    'emotionet': (tree.emotionet, 'a.csv'),
    's_aff_wild2': (
        lambda root: aff_wild2_tree.small().write(root),
        'training_set_annotations.txt',
    ),
}
ENCODINGS = {
    'utf-8': codecs.BOM_UTF8,
    'utf-16-le': codecs.BOM_UTF16_LE,
    'utf-16-be': codecs.BOM_UTF16_BE,
    'utf-32-le': codecs.BOM_UTF32_LE,
}


def printed(capsys, *args, **kwargs) -> str:
  check.check(*args, **kwargs)
  return capsys.readouterr().out


@pytest.mark.parametrize('name', LISTS)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16-le', 'utf-16-be'])
def test_the_encoding_of_a_list_does_not_matter(
    tmp_path, capsys, name, encoding
):
  write, file = LISTS[name]
  source = write(tmp_path)
  expected = printed(capsys, name, source_dir=source)
  text = (source / file).read_text()
  for mark in (ENCODINGS[encoding], b''):
    (source / file).write_bytes(mark + text.encode(encoding))
    assert printed(capsys, name, source_dir=source) == expected


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_a_list_of_paths_can_have_any_mark(tmp_path, encoding):
  face_images_tree.put(tmp_path / 'ü.jpg', face_images_tree.image(1))
  data = ENCODINGS[encoding] + 'ü.jpg\r\n'.encode(encoding)
  (tmp_path / 'list.txt').write_bytes(data)
  assert check.check('face_images', source_dir=tmp_path, config='list')


def test_a_name_in_latin_1_is_explained(tmp_path):
  face_images_tree.put(tmp_path / 'ü.jpg', face_images_tree.image(1))
  (tmp_path / 'list.txt').write_bytes('ü.jpg\n'.encode('latin-1'))
  command = ['-m', 'data_builders.check', 'face_images', '--config=list']
  done = subprocess.run(
      [sys.executable, *command, f'--source_dir={tmp_path}'],
      cwd=pathlib.Path(check.__file__).parents[1],
      env=os.environ | {'PYTHONIOENCODING': 'utf-8:strict'},
      capture_output=True,
      text=True,
      check=False,
  )
  expected = (
      r'\udcfc.jpg: missing (the name is not UTF-8, perhaps Latin-1; save'
  )
  assert (expected in done.stdout, done.stderr) == (True, '')


@pytest.mark.parametrize(
    'content', [bytes(40), b'a\0\0b', b'image\n' + bytes(9)]
)
def test_a_file_with_zeros_is_not_a_list(tmp_path, content):
  source = aff_wild2_tree.small().write(tmp_path)
  path = source / 'training_set_annotations.txt'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match='txt:1: it has zero bytes'):
    check.check('s_aff_wild2', source_dir=source)
  with pytest.raises(errors.InputError, match='it has zero bytes'):
    text_files.open_text(path)


def test_zeros_in_the_middle_of_a_list_are_a_bad_line(tmp_path, capsys):
  source = face_images_tree.people(tmp_path, 2)
  lines = 'p00/000.jpg\n' * 500 + '\0\0\n'  # a power cut leaves zeros
  (source / 'list.txt').write_text(lines)
  out = printed(
      capsys, 'face_images', source_dir=source, config='list', decode=True
  )
  assert 'list.txt:501: image \0\0: cannot be read' in out


@pytest.mark.parametrize(
    ('separator', 'words'), [(';', 'semicolons'), ('\t', 'tabs')]
)
@pytest.mark.parametrize('name', ['fer_plus', 'raf_db', 's_aff_wild2'])
def test_another_separator_is_named(tmp_path, name, separator, words):
  write, file = LISTS[name]
  source = write(tmp_path)
  text = (source / file).read_text()
  old = ' ' if name == 'raf_db' else ','
  if name == 'raf_db' and separator == '\t':
    separator, words = ',', 'commas'  # any white space is accepted there
  (source / file).write_text(text.replace(old, separator))
  with pytest.raises(errors.InputError) as caught:
    tree.run(name, source, tmp_path / 'data')
  assert f'they are separated by {words} ' in str(caught.value)


def test_another_separator_of_a_list_without_header_is_named(tmp_path):
  source = tree.manual_2017(tmp_path)
  path = source / 'validation.csv'
  path.write_text('22/d.png;2;3;10;12;;5;-1;1\n')
  with pytest.raises(errors.InputError, match='separated by semicolons'):
    tree.run('affectnet', source, tmp_path / 'data', configs=['manual_2017'])


def clutter(root: pathlib.Path) -> None:
  """Adds the files of macOS and Windows to every folder."""
  for folder in [root, *(path for path in root.rglob('*') if path.is_dir())]:
    for path in list(folder.iterdir()):
      if path.is_file():
        (folder / f'._{path.name}').write_bytes(b'\0\5\x16\7 Mac OS X')
    (folder / '__MACOSX').mkdir()
    (folder / '__MACOSX' / 'x.jpg').write_bytes(b'')
    (folder / '.DS_Store').write_bytes(b'')
    (folder / 'Thumbs.db').write_bytes(b'')


LABELLED = {name: write for name, (write, _) in LISTS.items()} | {
    'affectnet/manual_2017': tree.manual_2017,
    'affectnet/release_2021': tree.release_2021,
}
FACES = {f'face_images/{c}': w for c, w in face_images_tree.WRITERS.items()}


@pytest.mark.parametrize('name', LABELLED | FACES)
def test_files_of_macos_and_windows_change_nothing(tmp_path, capsys, name):
  (LABELLED | FACES)[name](tmp_path)
  dataset, _, config = name.partition('/')
  options = {'source_dir': tmp_path, 'config': config or None, 'decode': True}
  expected = printed(capsys, dataset, **options)
  clutter(tmp_path)
  assert printed(capsys, dataset, **options) == expected


def test_the_celeba_of_kaggle_is_known(tmp_path):
  found = face_images_tree.celeba(tmp_path / 'source')
  source = tmp_path / 'source'
  text = (source / 'list_eval_partition.txt').read_text().replace(' ', ',')
  (source / 'list_eval_partition.txt').unlink()
  (source / 'list_eval_partition.csv').write_text(f'image_id,partition\n{text}')
  (source / 'list_attr_celeba.csv').write_text('image_id,Smiling\n')
  (source / 'img_align_celeba').rename(source / 'images')
  (source / 'img_align_celeba').mkdir()
  (source / 'images').rename(source / 'img_align_celeba/img_align_celeba')
  face_images_tree.run(source, tmp_path, 'celeba')
  built = face_images_tree.read(tmp_path, 'celeba')
  assert {s: sorted(data for _, data in rows) for s, rows in built.items()} == {
      split: sorted(data for data, _ in images.values())
      for split, images in found.items()
  }
