"""FER+: votes, majorities and both kinds of images."""

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.fer_plus import lists, votes
from tests.data_builders import labelled_tree as tree


@pytest.mark.parametrize('write', [tree.fer_csv, tree.fer_folders])
def test_every_face_with_its_votes_and_pixels(tmp_path, capsys, write):
  write(tmp_path / 'source')
  tree.run('fer_plus', tmp_path / 'source', tmp_path)
  found = tree.read(tmp_path, 'fer_plus/frames')
  labels = {
      split: {
          row: (record['label'], record['expression'], record['expr'])
          for row, record in rows.items()
      }
      for split, rows in found.items()
  }
  assert labels == {
      'train': {0: (0, -1, False), 1: (1, 4, True), 3: (4, 1, True)},
      'validation': {4: (7, 7, True), 5: (8, -1, False)},
      'test': {6: (2, 6, True)},
  }
  for rows in found.values():
    for number, record in rows.items():
      assert record['votes'].tolist() == list(tree.FER_ROWS[number][2])
      assert record['votes'].dtype == np.int32
      assert record['video'] == f'fer{number:07d}.png'.encode()
      data = np.frombuffer(record['image'], np.uint8)
      image = cv2.imdecode(data, cv2.IMREAD_COLOR)
      grey = tree.grey(number)
      np.testing.assert_array_equal(image, np.stack([grey] * 3, -1))
      assert not record['va']
      assert record['valence'] == record['arousal'] == -5
      assert not record['au_mask'].any()
  assert 'test: 1 rows left out: not a face' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('counts', 'winner'),
    [
        ((10, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0),
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), None),
        ((5, 4, 1, 0, 0, 0, 0, 0, 0, 0), 0),  # 5 of 9: single votes are ignored
        ((4, 4, 1, 1, 0, 0, 0, 0, 0, 0), None),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None),
        ((0, 0, 2, 1, 1, 1, 1, 1, 1, 1), 2),
        ((0, 0, 0, 0, 0, 0, 0, 0, 6, 4), 8),
    ],
)
def test_the_majority_ignores_single_votes(counts, winner):
  assert votes.majority(counts) == winner


def test_check_counts_by_usage(tmp_path, capsys):
  source = tree.fer_csv(tmp_path)
  assert check.check('fer_plus', source_dir=source, subset=True, decode=True)
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  rows = [line for line in lines if line and line[0] == 'rows']
  assert rows == [
      ['rows', str(n), published, 'differs']
      for n, published in ((4, '28,709'), (2, '3,589'), (2, '3,589'))
  ]
  assert not check.check('fer_plus', source_dir=source)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('fer0000001.png,0,6', 'fer0000001.png,0,x', "csv:3: Happiness 'x' is"),
        ('fer0000001.png,0,6', 'fer0000001.png,0,٦', "csv:3: Happiness '٦' is"),
        (
            'fer0000001.png,0,6',
            'fer0000001.png,-1,6',
            'are not counts of votes',
        ),
        ('fer0000001.png,0,6', 'fer0000001.png,6', '11 values instead of 12'),
        ('fer0000001.png', '../fer1.png', 'is not a path inside the source'),
        (
            'Training,fer0000001',
            'Train,fer0000001',
            "3: usage 'Train' is not one",
        ),
    ],
)
def test_a_bad_line_of_votes_is_reported(tmp_path, old, new, message):
  source = tree.fer_csv(tmp_path / 'source')
  path = source / 'fer2013new.csv'
  path.write_text(path.read_text().replace(old, new))
  with pytest.raises(errors.InputError, match=message):
    tree.run('fer_plus', source, tmp_path)
  tree.run('fer_plus', source, tmp_path, on_error='skip')
  assert sorted(tree.read(tmp_path, 'fer_plus/frames')['train']) == [0, 3]


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('0,1 2 3,Training', 'fer2013.csv:3: 3 pixels are not 48x48'),
        (
            '0,' + '256 ' * 2304 + ',Training',
            'csv:3: 2304 pixels are not 48x48',
        ),
        (
            '0,' + 'a ' * 2304 + ',Training',
            'csv:3: the pixels are not whole numbers',
        ),
        (
            '0,' + '1_0 ' * 2304 + ',Training',
            'csv:3: the pixels are not whole numbers',
        ),
        (
            '0,' + '٢ ' * 2304 + ',Training',
            'csv:3: the pixels are not whole numbers',
        ),
        (
            '0,1 2 3,PublicTest',
            'new.csv:3: usage Training, but fer2013.csv:3 ha',
        ),
        (
            '0,1 2 3',
            'fer2013.csv:3: 2 values instead of 3; copy the file again',
        ),
    ],
)
def test_bad_pixels_are_reported(tmp_path, row, message):
  source = tree.fer_csv(tmp_path / 'source')
  lines = (source / 'fer2013.csv').read_text().splitlines()
  tree.write(source / 'fer2013.csv', *lines[:2], row, *lines[3:])
  with pytest.raises(errors.InputError, match=message):
    tree.run('fer_plus', source, tmp_path)


def test_lists_of_different_length_are_reported(tmp_path):
  source = tree.fer_csv(tmp_path)
  lines = (source / 'fer2013.csv').read_text().splitlines()
  tree.write(source / 'fer2013.csv', *lines, lines[-1])
  with pytest.raises(errors.InputError, match='more rows than fer2013new'):
    check.check('fer_plus', source_dir=source)
  tree.write(source / 'fer2013.csv', *lines[:-1])
  with pytest.raises(errors.InputError, match='csv:0 has no such row'):
    check.check('fer_plus', source_dir=source)
  (source / 'fer2013.csv').unlink()
  with pytest.raises(errors.InputError, match='no images; put fer2013'):
    check.check('fer_plus', source_dir=source)


# Classes of FER+ in the order of the codes of FER2013.
EMOTIONS = (4, 5, 6, 1, 3, 2, 0)


def write_faces(root, kept=0.74, order=None) -> None:
  """Writes a list whose votes agree with FER2013 for `kept` of the rows."""
  rng = np.random.default_rng(0)
  count = 1240
  codes = rng.choice(7, count, p=(0.13, 0.02, 0.14, 0.25, 0.17, 0.11, 0.18))
  tops = [EMOTIONS[code] for code in codes]
  for i in np.flatnonzero(rng.random(count) > kept):
    tops[i] = int(rng.integers(0, 10))
  votes = [
      ','.join('9' if k == top else '0' for k in range(10)) for top in tops
  ]
  tree.write(
      root / 'fer2013new.csv',
      tree.FER_HEADER,
      *(f'Training,fer{i}.png,{vote}' for i, vote in enumerate(votes)),
  )
  grey = ' '.join(['7'] * 48**2)
  tree.write(
      root / 'fer2013.csv',
      'emotion,pixels,Usage',
      *(f'{codes[i]},{grey},Training' for i in order(count)),
  )


@pytest.mark.parametrize(
    ('order', 'agreement'),
    [
        (lambda n: np.random.default_rng(1).permutation(n), '[0-9]%|[12].%'),
        (lambda n: [*range(900), *range(901, n), 900], '[0-9]%|[1-4].%'),
        (lambda n: reversed(range(n)), '[0-9]%|[12].%'),
    ],
)
def test_pictures_in_another_order_stop_the_build(tmp_path, order, agreement):
  write_faces(tmp_path, order=order)
  message = f'vote of fer2013new.csv for ({agreement}) of 620 rows, instead of'
  with pytest.raises(errors.InputError, match=message):
    lists.read(tmp_path)


def test_the_original_order_is_accepted(tmp_path):
  write_faces(tmp_path, order=range)
  listing = lists.read(tmp_path)
  assert sum(map(len, listing.rows.values())) > 1000
  assert not listing.notes
  text = (tmp_path / 'fer2013.csv').read_text()
  (tmp_path / 'fer2013.csv').write_text(text.replace('emotion', 'number'))
  assert 'no column emotion' in lists.read(tmp_path).notes[0]


def test_a_missing_png_is_reported_with_its_line(tmp_path, capsys):
  source = tree.fer_folders(tmp_path)
  (source / 'data/FER2013Valid/fer0000004.png').unlink()
  assert not check.check('fer_plus', source_dir=source, subset=True)
  out = capsys.readouterr().out
  assert 'fer2013new.csv:6: image fer0000004.png: missing' in out
