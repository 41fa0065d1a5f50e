"""Writes small sources of faces in every layout, without the code under test.

A writer fills a folder and returns split -> name -> (image, group) as the
dataset must hold them; the split is None where the layout has none of its own.
"""

import base64
import io
import itertools
import pathlib
import struct
import tarfile

import cv2
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.data_builders import build

MAGIC = struct.pack('<I', 0xCED7230A)
TSV = 'FaceImageCroppedWithAlignment.tsv'
LISTS = ('clean_list_128Vec_WT051_P010.txt', 'relabel_list_128Vec_T058.txt')


def image(seed: int, suffix: str = '.jpg', shape=(16, 20, 3)) -> bytes:
  """Returns an encoded random image."""
  noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
  return cv2.imencode(suffix, noise)[1].tobytes()


def put(path: pathlib.Path, data: bytes) -> bytes:
  """Writes a file in a new folder and returns its bytes."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
  return data


def folders(root: pathlib.Path) -> dict:
  """Nested folders, several formats, and files that are not images."""
  names = ['top.png', 'a/1.jpg', 'a/2.JPEG', 'a/deep/er/3.webp', 'b/1.jpg']
  names += [f'people/p{i}/{i}.jpg' for i in range(6)]
  put(root / 'a/notes.txt', b'no image')
  put(root / 'a/._1.jpg', b'a hidden file')
  return {
      None: {
          name: (
              put(root / name, image(i, pathlib.Path(name).suffix.lower())),
              name.rpartition('/')[0],
          )
          for i, name in enumerate(names)
      }
  }


def listed(root: pathlib.Path) -> dict:
  """A list with a byte order mark, CRLF and a blank line."""
  found = folders(root)[None]
  kept = list(found)[1:]
  (root / 'list.txt').write_text('\ufeff' + '\r\n'.join([*kept, '', '']))
  return {None: {name: found[name] for name in kept}}


def tar(root: pathlib.Path) -> dict:
  """A plain archive with folders, and two compressed archives."""
  found = {}
  put(root / 'c.txz', b'has another ending')
  for number, (name, mode, folder) in enumerate(
      [
          ('a.tar', 'w', 'id7/'),
          ('b/b.tar.gz', 'w:gz', ''),
          ('d.tar.xz', 'w:xz', 'deep/er/'),
      ]
  ):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / name, mode) as archive:
      for i in range(4):
        data = image(100 * number + i, '.png' if i == 2 else '.jpg')
        member = f'{folder}{i:03d}' + ('.png' if i == 2 else '.jpg')
        add(archive, member, data)
        add(archive, f'{folder}{i:03d}.cls', b'3')
        found[f'{name}!{member}'] = (data, folder.rstrip('/'))
  return {None: found}


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
  """Adds a file to an archive."""
  member = tarfile.TarInfo(name)
  member.size = len(data)
  archive.addfile(member, io.BytesIO(data))


def record(data: bytes) -> bytes:
  """Returns a record, split where its data contain the magic number."""
  parts, start = [], 0
  for at in range(0, len(data) - 3, 4):
    if data[at : at + 4] == MAGIC:
      parts.append(data[start:at])
      start = at + 4
  parts.append(data[start:])
  kinds = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
  encoded = b''
  for kind, part in zip(kinds, parts, strict=True):
    encoded += MAGIC + struct.pack('<I', kind << 29 | len(part))
    encoded += part + bytes(-len(part) % 4)
  return encoded


def labelled(labels: tuple[float, ...], data: bytes = b'') -> bytes:
  """Returns the header of a record, followed by image data."""
  if len(labels) == 1:
    return struct.pack('<IfQQ', 0, labels[0], 0, 0) + data
  head = struct.pack('<IfQQ', len(labels), 0.0, 0, 0)
  return head + struct.pack(f'<{len(labels)}f', *labels) + data


def write_pack(root: pathlib.Path, records: list[bytes]) -> None:
  """Writes train.rec and train.idx."""
  offset, index, pack = 0, [], b''
  for key, data in enumerate(records):
    index.append(f'{key}\t{offset}\n')
    pack += record(data)
    offset = len(pack)
  put(root / 'train.rec', pack)
  (root / 'train.idx').write_text(''.join(index))


def recordio(root: pathlib.Path) -> dict:
  """A pack with a header, 4 identities and a record in three parts."""
  people = [3, 2, 1, 4]
  images = [image(i) for i in range(sum(people))]
  # Padding after the image puts the magic number at a multiple of 4 bytes.
  images[4] += bytes(-len(images[4]) % 4) + MAGIC + b'1234' + MAGIC + b'12'
  stop = len(images) + 1
  starts = np.cumsum([1, *people]).tolist()
  records = [labelled((float(stop), float(stop + len(people))))]
  found = {}
  for person, (first, last) in enumerate(itertools.pairwise(starts)):
    for key in range(first, last):
      data = images[key - 1]
      labels = (float(person),) if key % 2 else (float(person), 0.0)
      records.append(labelled(labels, data))
      found[f'train.rec[{key}]'] = (data, person)
  for first, last in itertools.pairwise(starts):
    records.append(labelled((float(first), float(last))))
  assert records[5].count(MAGIC) == 2
  write_pack(root, records)
  return {None: found}


def celeba(root: pathlib.Path) -> dict:
  """The aligned images and their partition."""
  found = {'train': {}, 'validation': {}, 'test': {}}
  lines = []
  for i in range(9):
    part = (0, 0, 0, 1, 2, 0, 1, 0, 2)[i]
    name = f'{i + 1:06d}.jpg'
    lines.append(f'{name} {part}\n')
    data = put(root / 'img_align_celeba' / name, image(i))
    found[list(found)[part]][f'img_align_celeba/{name}'] = (data, '')
  (root / 'list_eval_partition.txt').write_text(''.join(lines))
  return found


def c_ms_celeb(root: pathlib.Path) -> dict:
  """Both lists and a table; the images of one person are files."""
  found, lines, rows = {}, {name: [] for name in LISTS}, []
  for person, mid in enumerate(('m.01_x', 'm.02y', 'm.03z')):
    for rank in range(4):
      path = f'{mid}/{rank * 3}-FaceId-{rank % 2}.jpg'
      data = image(10 * person + rank)
      if mid == 'm.03z':
        put(root / path, data)
      else:
        rows.append(
            b'\t'.join(
                [
                    mid.encode(), b'%d' % (rank * 3), b'http://i', b'http://p',
                    b'FaceId-%d' % (rank % 2), base64.b64encode(bytes(16)),
                    base64.b64encode(data),
                ]
            )
        )  # fmt: skip
      if rank == 3:
        continue  # not listed: removed when the labels were cleaned
      relabelled = rank == 2
      label = 'm.01_x' if relabelled else mid
      lines[LISTS[relabelled]].append(f'{label} {path}\n')
      found[path] = (data, label)
  for name, text in lines.items():
    (root / name).write_text(''.join(text))
  put(root / TSV, b'\n'.join(rows) + b'\n')
  return {None: found}


def emotionet(root: pathlib.Path) -> dict:
  """Images in two folders and a list with a quoted header."""
  found, rows = {}, ["'URL','AU 1', 'AU 2'\n"]
  for i in range(8):
    name = f'part{i % 2}/N_{i:010d}_{i * 7:05d}.jpg'
    data = put(root / name, image(i))
    if i < 6:
      rows.append(f"'http://host/x/{name.rpartition('/')[2]}',1,999\n")
      found[name] = (data, '')
  (root / 'list.csv').write_text(''.join(rows))
  return {None: found}


def vggface2(root: pathlib.Path) -> dict:
  """Identities in train and test, with the metadata of the release."""
  found = {None: {}, 'test': {}}
  for part, split, people in (('train', None, 5), ('test', 'test', 2)):
    for person in range(people):
      group = f'n{person + 10 * (split is not None):06d}'
      for i in range(3):
        name = f'{part}/{group}/{i:04d}_01.jpg'
        seed = 1000 * (split is not None) + 10 * person + i
        found[split][name] = (put(root / name, image(seed)), group)
  put(root / 'meta/identity_meta.csv', b'Class_ID, Name')
  put(root / 'train/n000000/thumbs.db', b'x')
  return found


WRITERS = {
    'folders': folders,
    'list': listed,
    'tar': tar,
    'recordio': recordio,
    'celeba': celeba,
    'c_ms_celeb': c_ms_celeb,
    'emotionet': emotionet,
    'vggface2': vggface2,
}


def run(source, data, config='folders', **kwargs) -> None:
  """Builds a source in this process, in small shards."""
  defaults = {'images_per_shard': 4, 'num_workers': 1, 'validation_share': 0.25}
  build.build(
      'face_images',
      source_dir=source,
      data_dir=data,
      configs=[config],
      **{**defaults, **kwargs},
  )


def folder(data: pathlib.Path, config: str = 'folders') -> pathlib.Path:
  """Returns the folder of a built config."""
  return data / 'face_images' / config / '1.0.0'


def unfinished(data: pathlib.Path, config: str = 'folders') -> pathlib.Path:
  """Returns the folder of an unfinished build."""
  return data / 'face_images' / config / '1.0.0.unfinished'


def metadata(data: pathlib.Path, config: str = 'folders') -> dict:
  """Returns the metadata of the dataset."""
  return dict(tfds.builder_from_directory(folder(data, config)).info.metadata)


def read(data: pathlib.Path, config: str = 'folders') -> dict[str, list]:
  """Returns split -> (name, image) of every record, in the order on disk."""
  builder = tfds.builder_from_directory(folder(data, config))
  found = {}
  for split in builder.info.splits:
    source = builder.as_data_source(
        split, decoders={'image': tfds.decode.SkipDecoding()}
    )
    found[split] = [
        (source[i]['name'].decode(), source[i]['image'])
        for i in range(len(source))
    ]
  return found


def people(root: pathlib.Path, count: int = 30) -> pathlib.Path:
  """Writes two images into each of `count / 2` folders; returns the source."""
  for i in range(count):
    put(root / f'p{i // 2:02d}/{i:03d}.jpg', image(i))
  return root


def command(source: pathlib.Path, data: pathlib.Path, *args: str) -> list[str]:
  """Returns the command line of the same build as `run`."""
  return [
      '-m',
      'data_builders.build',
      'face_images',
      f'--source_dir={source}',
      f'--data_dir={data}',
      '--images_per_shard=4',
      '--validation_share=0.25',
      *args,
  ]
