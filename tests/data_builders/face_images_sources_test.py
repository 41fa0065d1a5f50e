"""Problems of a source of faces are reported with file and line."""

import gzip
import pathlib
import tarfile

import pytest

from abaw_jax.core import errors
from tests.data_builders import face_images_tree as tree


def cut(path: pathlib.Path, kept: float) -> None:
  data = path.read_bytes()
  path.write_bytes(data[: int(len(data) * kept)])


def append(path: pathlib.Path, text: str) -> None:
  with path.open('a') as file:
    file.write(text)


def damage(path: pathlib.Path, at: int, data: bytes) -> None:
  with path.open('r+b') as file:
    file.seek(at)
    file.write(data)


def second_header(path: pathlib.Path) -> int:
  with tarfile.open(path) as archive:
    return archive.getmembers()[1].offset


def no_list(root):
  (root / 'list.txt').unlink()


def nothing_left(root):
  for path in sorted(root.rglob('*'), reverse=True):
    path.rmdir() if path.is_dir() else path.unlink()


# Case -> (config, damage to the source, texts of the message).
BROKEN = {
    'an empty tree': ('folders', nothing_left, ('no image', 'is empty')),
    'no list': ('list', no_list, ('list.txt: cannot be read',)),
    'no archive': ('tar', nothing_left, ('no archive', '.tar.gz')),
    'a damaged archive': (
        'tar',
        lambda root: cut(root / 'a.tar', 0.3),
        ('a.tar: damaged after id7/', 'copy or pack it again'),
    ),
    'an archive without end': (
        'tar',
        lambda root: damage(
            root / 'a.tar', second_header(root / 'a.tar'), b'?'
        ),
        ('a.tar: damaged after id7/000.jpg', 'no end-of-archive mark'),
    ),
    'a damaged compressed archive': (
        'tar',
        lambda root: cut(root / 'b/b.tar.gz', 0.5),
        ('b/b.tar.gz: damaged', 'end-of-stream'),
    ),
    'no archive inside': (
        'tar',
        lambda root: tree.put(root / 'e.tar.gz', gzip.compress(b'x' * 999)),
        ('e.tar.gz: damaged',),
    ),
    'no index': (
        'recordio',
        lambda root: (root / 'train.idx').unlink(),
        ('train.idx: cannot be read',),
    ),
    'no pack': (
        'recordio',
        lambda root: (root / 'train.rec').unlink(),
        ('train.rec: no such file',),
    ),
    'a broken index': (
        'recordio',
        lambda root: append(root / 'train.idx', 'x 1\n'),
        ('train.idx:16:', "'x 1' is not a key and an offset"),
    ),
    'an index with digits of another script': (
        'recordio',
        lambda root: append(root / 'train.idx', '1_5 ٣\n'),
        ('train.idx:16:', "'1_5 ٣' is not a key and an offset"),
    ),
    'a broken header of a pack': (
        'recordio',
        lambda root: damage(root / 'train.rec', 0, b'?'),
        ('train.rec: record 0: no magic number at byte 0',),
    ),
    'a truncated pack': (
        'recordio',
        lambda root: cut(root / 'train.rec', 0.9),
        ('train.rec: record 11:', 'copy train.rec'),
    ),
    'a partition with a column too few': (
        'celeba',
        lambda root: append(root / 'list_eval_partition.txt', '000010.jpg\n'),
        ('list_eval_partition.txt:10:', '0, 1 or 2'),
    ),
    'a partition of another kind': (
        'celeba',
        lambda root: append(root / 'list_eval_partition.txt', 'a.jpg 3\n'),
        ('list_eval_partition.txt:10:', '0, 1 or 2'),
    ),
    'a table without URLs': (
        'emotionet',
        lambda root: (root / 'list.csv').write_text('AU 1,AU 2\n1,0\n'),
        ('list.csv:1: no column url', 'au 1,au 2'),
    ),
    'a list without labels': (
        'c_ms_celeb',
        lambda root: append(root / tree.LISTS[1], 'm.01_x\n'),
        (f'{tree.LISTS[1]}:4:', 'is not a label and a path'),
    ),
    'a table with a column too few': (
        'c_ms_celeb',
        lambda root: append(root / tree.TSV, 'm.1\t2\n'),
        (f'{tree.TSV}:9: 2 columns instead of 7',),
    ),
    'VGGFace2 without train': (
        'vggface2',
        lambda root: (root / 'train').rename(root / 'images'),
        ('no folder train',),
    ),
}


@pytest.mark.parametrize('case', BROKEN)
def test_another_layout_is_refused(tmp_path, case):
  config, breaks, expected = BROKEN[case]
  tree.WRITERS[config](tmp_path / 'source')
  breaks(tmp_path / 'source')
  with pytest.raises(errors.InputError) as caught:
    tree.run(tmp_path / 'source', tmp_path / 'data', config)
  for text in expected:
    assert text in str(caught.value)
  assert not tree.unfinished(tmp_path / 'data', config).exists()


def offset_of(root: pathlib.Path, key: int) -> int:
  lines = (root / 'train.idx').read_text().splitlines()
  return int(lines[key].split('\t')[1])


# Case -> (config, damage to the source, reported problem).
BAD_IMAGES = {
    'a missing file of a list': (
        'list',
        lambda root: (root / 'a/2.JPEG').unlink(),
        'list.txt:2: image a/2.JPEG: missing',
    ),
    'a path that leaves the source': (
        'list',
        lambda root: append(root / 'list.txt', '../x.jpg\n'),
        'list.txt:12: image ../x.jpg: is not in source',
    ),
    'a truncated file': (
        'folders',
        lambda root: cut(root / 'a/1.jpg', 0.8),
        'a/1.jpg: cut off: the JPEG has no end marker',
    ),
    'a truncated PNG': (
        'folders',
        lambda root: cut(root / 'top.png', 0.9),
        'top.png: cut off: the PNG has no end marker',
    ),
    'a truncated WebP': (
        'folders',
        lambda root: cut(root / 'a/deep/er/3.webp', 0.9),
        'a/deep/er/3.webp: not a complete image',
    ),
    'text with the name of an image': (
        'folders',
        lambda root: (root / 'b/1.jpg').write_text('<html>'),
        'b/1.jpg: not a complete image',
    ),
    'an empty file': (
        'folders',
        lambda root: (root / 'b/1.jpg').write_text(''),
        'b/1.jpg: empty',
    ),
    'a record without magic number': (
        'recordio',
        lambda root: damage(root / 'train.rec', offset_of(root, 3), b'?'),
        'train.rec[3]: no magic number at byte ',
    ),
    'a record that begins in the middle': (
        'recordio',
        lambda root: damage(
            root / 'train.rec', offset_of(root, 2) + 7, b'\x60'
        ),
        'train.rec[2]: the parts of the record are out of order',
    ),
    'a missing file of CelebA': (
        'celeba',
        lambda root: (root / 'img_align_celeba/000004.jpg').unlink(),
        'list_eval_partition.txt:4: image img_align_celeba/000004.jpg: missing',
    ),
    'an image that the table lacks': (
        'c_ms_celeb',
        lambda root: (root / 'm.03z/3-FaceId-1.jpg').unlink(),
        f'{tree.LISTS[0]}:6: image m.03z/3-FaceId-1.jpg: missing',
    ),
    'an image listed twice': (
        'c_ms_celeb',
        lambda root: append(root / tree.LISTS[1], 'm.02y m.02y/0-FaceId-0.jpg'),
        f'{tree.LISTS[1]}:4: image m.02y/0-FaceId-0.jpg: listed twice',
    ),
    'a URL whose image is missing': (
        'emotionet',
        lambda root: append(
            root / 'list.csv', 'http://h/N_0000000077_00001.jpg,0,0\n'
        ),
        'list.csv:8: image N_0000000077_00001.jpg: missing',
    ),
    'a URL with digits of another script': (
        'emotionet',
        lambda root: append(
            root / 'list.csv', 'http://h/N_000000000٢_00000.jpg,0,0\n'
        ),
        'list.csv:8: image N_000000000٢_00000.jpg: the URL',
    ),
    'a URL of another kind': (
        'emotionet',
        lambda root: append(root / 'list.csv', 'http://h/x.jpg,0,0\n'),
        "list.csv:8: image x.jpg: the URL 'http://h/x.jpg' does not end in N_",
    ),
}


@pytest.mark.parametrize('case', BAD_IMAGES)
def test_a_bad_image_is_named(tmp_path, case):
  config, breaks, expected = BAD_IMAGES[case]
  written = tree.WRITERS[config](tmp_path / 'source')
  breaks(tmp_path / 'source')
  with pytest.raises(errors.InputError) as caught:
    tree.run(tmp_path / 'source', tmp_path / 'data', config)
  first, problem = str(caught.value).splitlines()
  assert first.startswith('1 problem in ')
  assert '--on_error=skip' in first
  assert problem.strip().startswith(expected)
  assert not tree.folder(tmp_path / 'data', config).exists()

  tree.run(tmp_path / 'source', tmp_path / 'data', config, on_error='skip')
  records = dict(
      record
      for split in tree.read(tmp_path / 'data', config).values()
      for record in split
  )
  good = {n: i for images in written.values() for n, (i, _) in images.items()}
  assert len(records) in (len(good) - 1, len(good))
  assert records.items() <= good.items()
  (skipped,) = tree.metadata(tmp_path / 'data', config)['skipped']
  assert skipped['file'] == expected.split(':')[0]


def test_links_inside_an_archive_are_not_images(tmp_path):
  (tmp_path / 'source').mkdir()
  with tarfile.open(tmp_path / 'source/a.tar', 'w') as archive:
    for i in range(3):
      tree.add(archive, f'{i}.jpg', tree.image(i))
    link = tarfile.TarInfo('link.jpg')
    link.type, link.linkname = tarfile.SYMTYPE, '0.jpg'
    archive.addfile(link)
  with pytest.raises(errors.InputError, match=r'a\.tar!link\.jpg: a link or'):
    tree.run(tmp_path / 'source', tmp_path / 'data', 'tar')


def test_only_the_first_problems_are_listed(tmp_path):
  for i in range(40):
    tree.put(tmp_path / f'source/{i:02d}.jpg', b'' if i < 25 else tree.image(i))
  with pytest.raises(errors.InputError) as caught:
    tree.run(tmp_path / 'source', tmp_path / 'data')
  first, *listed, last = str(caught.value).splitlines()
  assert first.startswith('25 problems in ')
  assert len(listed) == 20
  assert last.strip() == '... and 5 more'


def test_skipping_does_not_make_an_empty_split(tmp_path):
  tree.celeba(tmp_path / 'source')
  for name in ('000004', '000007'):
    (tmp_path / f'source/img_align_celeba/{name}.jpg').unlink()
  with pytest.raises(errors.InputError, match='no usable image in validation'):
    tree.run(tmp_path / 'source', tmp_path / 'data', 'celeba', on_error='skip')
  assert not tree.folder(tmp_path / 'data', 'celeba').exists()
