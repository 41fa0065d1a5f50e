"""Writes small releases of labelled faces, without the code under test."""

import pathlib

import cv2
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.data_builders import build

AFFECTNET_HEADER = (
    'subDirectory_filePath,face_x,face_y,face_width,face_height,'
    'facial_landmarks,expression,valence,arousal'
)
FER_HEADER = (
    'Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,'
    'contempt,unknown,NF'
)
LANDMARKS = ';'.join(['1.5;2.5'] * 68)


def pixels(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
  """Returns a random image, BGR."""
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, 3), np.uint8)


def put(path: pathlib.Path, image: np.ndarray) -> bytes:
  """Writes an image in the format of its name and returns the bytes."""
  path.parent.mkdir(parents=True, exist_ok=True)
  data = cv2.imencode(path.suffix, image)[1].tobytes()
  path.write_bytes(data)
  return data


def write(path: pathlib.Path, *lines: str) -> None:
  """Writes a list."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join([*lines, '']))


def affectnet_line(
    name, expression='1', va='0.5,-0.25', box='2,3,10,12', landmarks=LANDMARKS
) -> str:
  """Returns a line of the lists of 2017."""
  return f'{name},{box},{landmarks},{expression},{va}'


def manual_2017(root: pathlib.Path) -> pathlib.Path:
  """Writes the release of 2017: only one list has a header; an image has two faces."""
  images = root / 'Manually_Annotated_Images'
  for i, name in enumerate(('1/a.png', '1/b.png', '22/c.png', '22/d.png')):
    put(images / name, pixels(i))
  write(
      root / 'training.csv',
      AFFECTNET_HEADER,
      affectnet_line('1/a.png'),
      affectnet_line('1/a.png', '7', '-0.5,1', box='12,0,12,20'),
      affectnet_line('1/b.png', '8', '-2,-2'),
      affectnet_line('22/c.png', '10', '-2,-2', box='NULL,NULL,NULL,NULL'),
      affectnet_line('1/b.png', '0', '0,-2'),
      affectnet_line('22/c.png', '3', '0,0', box='5,5,-1,-1'),
      affectnet_line('22/c.png', '9', '0.25,0.125', box='-4,-5,40.4,11'),
  )
  write(root / 'validation.csv', affectnet_line('22/d.png', '5', '-1,1'))
  return root


def release_2021(root: pathlib.Path) -> pathlib.Path:
  """Writes the release of 2021: labels are strings, numbers or arrays."""
  faces = {
      'train_set/9': ('1', '0.5', '-0.25'),
      'train_set/10': (7, -0.125, np.float32(1.0)),
      'train_set/100': (np.array(['4']), b'0.25', np.array([0.75])),
      'val_set/3': ('0', -2.0, -2.0),
  }
  for i, (name, values) in enumerate(faces.items()):
    folder, stem = name.split('/')
    put(root / folder / 'images' / f'{stem}.jpg', pixels(i))
    annotations = root / folder / 'annotations'
    annotations.mkdir(exist_ok=True)
    for key, value in zip(('exp', 'val', 'aro'), values, strict=True):
      np.save(annotations / f'{stem}_{key}.npy', value)
    np.save(annotations / f'{stem}_lnd.npy', np.zeros(136))
  return root


FER_ROWS = [  # usage, whether it has an image name, votes
    ('Training', True, (4, 0, 0, 1, 3, 2, 0, 0, 0, 0)),  # 4 of 9: no majority
    ('Training', True, (0, 6, 3, 0, 0, 0, 1, 0, 0, 0)),
    ('Training', False, (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)),
    ('Training', True, (1, 1, 1, 1, 3, 1, 0, 0, 2, 0)),  # 3 of 5: Anger
    ('PublicTest', True, (0, 0, 0, 0, 0, 2, 0, 8, 0, 0)),
    ('PublicTest', True, (1, 0, 0, 0, 0, 0, 0, 0, 9, 0)),
    ('PrivateTest', True, (0, 0, 10, 0, 0, 0, 0, 0, 0, 0)),
    ('PrivateTest', True, (2, 0, 0, 0, 0, 0, 0, 0, 0, 8)),
]


def grey(row: int) -> np.ndarray:
  """Returns the image of a row of FER2013."""
  return np.random.default_rng(row).integers(0, 256, (48, 48), np.uint8)


def fer_lines() -> list[str]:
  """Returns the lines of fer2013new.csv."""
  return [FER_HEADER] + [
      f'{usage},{f"fer{i:07d}.png" if named else ""},{",".join(map(str, v))}'
      for i, (usage, named, v) in enumerate(FER_ROWS)
  ]


def fer_csv(root: pathlib.Path) -> pathlib.Path:
  """Writes FER+ with its images in fer2013.csv."""
  write(root / 'fer2013new.csv', *fer_lines())
  write(
      root / 'fer2013.csv',
      'emotion,pixels,Usage',
      *(
          f'0,{" ".join(map(str, grey(i).ravel()))},{usage}'
          for i, (usage, _, _) in enumerate(FER_ROWS)
      ),
  )
  return root


def fer_folders(root: pathlib.Path) -> pathlib.Path:
  """Writes FER+ with its images in folders of PNG files."""
  write(root / 'fer2013new.csv', *fer_lines())
  folders = {
      'Training': 'FER2013Train',
      'PublicTest': 'FER2013Valid',
      'PrivateTest': 'FER2013Test',
  }
  for i, (usage, named, _) in enumerate(FER_ROWS):
    if named:
      put(root / 'data' / folders[usage] / f'fer{i:07d}.png', grey(i))
  return root


RAF_CODES = {'train': [1, 2, 3, 4, 5, 6, 7] * 6, 'test': [7, 4, 1]}


def raf_db(root: pathlib.Path) -> pathlib.Path:
  """Writes RAF-DB."""
  lines = []
  for split, codes in RAF_CODES.items():
    for i, code in enumerate(codes):
      stem = f'{split}_{i + 1:05d}'
      put(root / f'basic/Image/aligned/{stem}_aligned.jpg', pixels(len(lines)))
      lines.append(f'{stem}.jpg {code}')
  write(root / 'basic/EmoLabel/list_patition_label.txt', *lines)
  return root


LSD_CLASSES = ('ANGRER', 'DISGUST', 'FEAR', 'HAPPINESS', 'SADNESS', 'SURPRISE')


def lsd(root: pathlib.Path, anger: str = 'ANGRER') -> pathlib.Path:
  """Writes LSD; `anger` is the spelling of that folder."""
  seed = 0
  for folder, count in (
      ('training_set_synthetic_images', 2),
      ('validation_set_real_images', 1),
  ):
    for name in (anger, *LSD_CLASSES[1:]):
      for i in range(count):
        put(root / folder / name / f'{i + 1}.jpg', pixels(seed))
        seed += 1
  for i in range(3):
    put(root / 'lsd_test_data' / f'{i}.jpg', pixels(seed + i))
  lines = ['image,expression', '2.jpg', '0.jpg', '1.jpg']
  write(root / 'LSD_Challenge_test_set_release.txt', *lines)
  return root


def emotionet(root: pathlib.Path) -> pathlib.Path:
  """Writes two lists of EmotioNet with different columns, and images in folders."""
  rows = {
      'a.csv': (
          "'URL', 'AU 1', 'AU 2', \"AU 12\", ' AU 60 '",
          [(1, 0, 999, 1), (999, 999, 999, 1), (0, 1, 1, 999)],
      ),
      'b.csv': ('URL,AU4,AU26', [(i % 2, 999) for i in range(20)]),
  }
  number = 0
  for name, (header, values) in rows.items():
    lines = [header]
    for value in values:
      file = f'N_{number:010d}_{number * 3:05d}.jpg'
      put(root / f'images/{number % 2}/{file}', pixels(number))
      lines.append(f"'http://host/{number}/{file}',{','.join(map(str, value))}")
      number += 1
    write(root / name, *lines)
  return root


def run(name: str, source: pathlib.Path, data: pathlib.Path, **kwargs) -> None:
  """Builds a dataset."""
  build.build(name, source_dir=source, data_dir=data, **kwargs)


def folder(data: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the folder of `<dataset>/<config>`."""
  return data / name / '1.0.0'


def metadata(data: pathlib.Path, name: str) -> dict:
  """Returns the metadata of the dataset."""
  return dict(tfds.builder_from_directory(folder(data, name)).info.metadata)


def read(data: pathlib.Path, name: str) -> dict[str, dict[int, dict]]:
  """Returns split -> row -> record of `<dataset>/<config>`."""
  builder = tfds.builder_from_directory(folder(data, name))
  found = {}
  for split in builder.info.splits:
    source = builder.as_data_source(
        split, decoders={'image': tfds.decode.SkipDecoding()}
    )
    records = [source[i] for i in range(len(source))]
    found[split] = {int(record['row']): record for record in records}
    assert len(found[split]) == len(records)
  return found
