"""EmotioNet with labels: lists with any columns, a mask for each action unit."""

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from tests.data_builders import labelled_tree as tree

UNITS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)


def all_rows(root) -> dict:
  found = tree.read(root, 'emotionet/frames')
  assert not found['train'].keys() & found.get('validation', {}).keys()
  return found['train'] | found.get('validation', {})


def test_units_are_known_one_by_one(tmp_path, capsys):
  tree.emotionet(tmp_path / 'source')
  tree.run('emotionet', tmp_path / 'source', tmp_path)
  found = all_rows(tmp_path)
  # Row 1 has only AU 60, which is not used.
  assert sorted(found) == [0, *range(2, 23)]
  assert 'all: 1 rows left out: they have no label' in capsys.readouterr().out
  known = {0: {1: 1, 2: 0}, 2: {1: 0, 2: 1, 12: 1}}
  known |= {row: {4: (row - 3) % 2} for row in range(3, 23)}
  for row, record in found.items():
    expected = [known[row].get(unit, -1) for unit in UNITS]
    assert record['au'].tolist() == expected
    assert record['au_mask'].tolist() == [value >= 0 for value in expected]
    assert record['label'] == record['expression'] == -1
    assert not record['expr']
    assert not record['va']
    name = f'N_{row:010d}_{row * 3:05d}.jpg'
    assert record['video'] == name.encode()
    image = tmp_path / f'source/images/{row % 2}/{name}'
    assert record['image'] == image.read_bytes()


def test_the_validation_share_is_an_option(tmp_path):
  source = tree.emotionet(tmp_path / 'source')
  shares = {0.0: (0, 0), 0.001: (1, 1), 0.5: (5, 17)}
  for share, (least, most) in shares.items():
    data = tmp_path / str(share)
    tree.run('emotionet', source, data, validation_share=share)
    found = tree.read(data, 'emotionet/frames')
    assert least <= len(found.get('validation', {})) <= most
    assert len(all_rows(data)) == 22
    metadata = tree.metadata(data, 'emotionet/frames')
    assert metadata['validation_share'] == share


def test_all_rows_of_an_image_are_in_one_split(tmp_path):
  source = tree.emotionet(tmp_path / 'source')
  lines = (source / 'b.csv').read_text().splitlines()
  tree.write(source / 'c.csv', *lines)
  tree.run('emotionet', source, tmp_path, validation_share=0.5)
  found = tree.read(tmp_path, 'emotionet/frames')
  sides = [{r['video'] for r in rows.values()} for rows in found.values()]
  assert not sides[0] & sides[1]
  rows = list(all_rows(tmp_path).values())
  assert len(rows) == 42
  assert sum(record['frame_id'] for record in rows) == 20


def test_check_counts_units(tmp_path, capsys):
  source = tree.emotionet(tmp_path)
  assert check.check('emotionet', source_dir=source, decode=True)
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  for line in (
      ['rows', '23'], ['faces', '22'], ['AU01', 'known', '2'],
      ['AU01', 'present', '1'], ['AU04', 'known', '20'],
      ['AU04', 'present', '10'], ['images', 'on', 'disk', '22'],
  ):  # fmt: skip
    assert line in lines
  assert not any(line[:1] == ['AU26'] for line in lines)


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ("'http://x/N_0000000001_00003.jpg',2,0,0,0", 'AU01 2 is out of range'),
        (
            "'http://x/N_0000000001_00003.jpg',\uff11,0,0,0",
            "AU01 '\uff11' is not a",
        ),
        (
            "'http://x/N_0000000001_00003.jpg',0,0,y,0",
            "AU12 'y' is not a numbe",
        ),
        ("'http://x/N_0000000001_00003.jpg',0,0,0", '4 values instead of 5'),
        (
            "'http://x/N_9999999999_00003.jpg',0,0,0,0",
            'image N_9999999999_00003',
        ),
        ("'http://x/',0,0,0,0", "image '' is not a path"),
    ],
)
def test_a_bad_line_is_reported(tmp_path, line, reason):
  source = tree.emotionet(tmp_path / 'source')
  with (source / 'a.csv').open('a') as file:
    file.write(line + '\n')
  with pytest.raises(errors.InputError) as caught:
    tree.run('emotionet', source, tmp_path)
  assert f'  a.csv:5: {reason}' in str(caught.value)
  tree.run('emotionet', source, tmp_path, on_error='skip')
  assert len(all_rows(tmp_path)) == 22


def test_a_source_without_a_list_of_units(tmp_path):
  with pytest.raises(errors.InputError, match='no list; put the CSV files'):
    check.check('emotionet', source_dir=tmp_path)
  tree.write(tmp_path / 'a.csv', 'name,AU 1', 'x,1')
  with pytest.raises(errors.InputError, match=r'a\.csv:1: no column url'):
    check.check('emotionet', source_dir=tmp_path)
  for unit in ('60', '٢'):
    tree.write(tmp_path / 'a.csv', f'URL,AU {unit}', 'x,1')
    with pytest.raises(errors.InputError, match='no column of a known action'):
      check.check('emotionet', source_dir=tmp_path)
