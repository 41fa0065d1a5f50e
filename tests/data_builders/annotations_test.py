"""The list files of s-Aff-Wild2: accepted formats and reported faults."""

import pytest

from abaw_jax.core import labels
from abaw_jax.data_builders.s_aff_wild2 import annotations
from tests.data_builders import aff_wild2_tree as tree

LINE = '426/00001.jpg,0.00,0.05,0,0,0,0,1,0,0,1,0,0,0,1,0'


def parse(*lines: str, labelled: bool = True):
  return annotations.parse('\n'.join(lines).encode(), labelled=labelled)


def test_a_line_gives_the_labels_in_order():
  rows, faults = parse(tree.HEADER, LINE)
  assert not faults
  assert rows == [
      annotations.Row(
          image='426/00001.jpg',
          video='426',
          frame_id=1,
          row=0,
          line=2,
          valence=0.0,
          arousal=0.05,
          expression=0,
          au=(0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0),
      )
  ]


@pytest.mark.parametrize(
    'content',
    [
        f'{tree.HEADER}\n{LINE}\n{LINE}',
        f'{tree.HEADER}\n{LINE}\n{LINE}\n',
        f'{tree.HEADER}\n{LINE}\n{LINE}\n\n  \n',
        f'{tree.HEADER}\r\n{LINE}\r\n{LINE}\r\n\r\n',
        f'{tree.HEADER},\n{LINE},\n{LINE},\n',
        f'\ufeff{tree.HEADER}\n{LINE}\n{LINE}\n',
        f'{tree.HEADER}\n{LINE.replace(",", ", ")}\n{LINE}\n',
        f'Image,valence\n{LINE}\n{LINE}\n',
    ],
)
def test_harmless_differences_change_nothing(content):
  assert annotations.parse(content.encode(), labelled=True) == parse(
      tree.HEADER, LINE, LINE
  )


def test_without_a_header_only_the_line_numbers_differ():
  rows, faults = parse(LINE, LINE)
  assert not faults
  assert [(row.row, row.line) for row in rows] == [(0, 1), (1, 2)]
  rows, _ = parse(tree.HEADER, LINE, LINE)
  assert [(row.row, row.line) for row in rows] == [(0, 2), (1, 3)]


@pytest.mark.parametrize('lines', [['image,'], ['image'], []])
def test_a_test_line_is_an_image_with_no_label(lines):
  rows, faults = parse(
      *lines, 'video45_1/00008.jpg,', 'v/1.JPG', labelled=False
  )
  assert not faults
  assert [(row.video, row.frame_id, row.row) for row in rows] == [
      ('video45_1', 8, 0),
      ('v', 1, 1),
  ]
  assert not any(row.va or row.expr or row.au_mask for row in rows)
  assert rows[0].valence == rows[0].arousal == labels.VA_MISSING
  assert rows[0].expression == labels.EXPRESSION_MISSING
  assert rows[0].au == (labels.AU_MISSING,) * 12


@pytest.mark.parametrize(
    ('va', 'usable'),
    [
        ('-5,-5', False),
        ('-5.0,-5.0', False),
        ('-5,0.1', False),
        ('0.1,-5.00', False),
        ('-1,1.0', True),
        ('0,-0.5', True),
    ],
)
def test_valence_and_arousal_are_usable_only_together(va, usable):
  rows, faults = parse(tree.line('1/1.jpg', va))
  assert not faults
  assert rows[0].va is usable


@pytest.mark.parametrize(
    ('aus', 'usable'),
    [
        (tree.ZEROS, True),
        (tree.MISSING, False),
        ('-1' + ',0' * 11, False),
        ('1,' * 11 + '-1.0', False),
    ],
)
def test_one_missing_au_makes_all_unusable(aus, usable):
  rows, faults = parse(tree.line('1/1.jpg', aus=aus))
  assert not faults
  assert rows[0].au_mask is usable
  assert rows[0].au == tuple(int(float(value)) for value in aus.split(','))


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        ('1/1.jpg,0,0', '3 values instead of 16'),
        (f'{LINE},0', '17 values instead of 16'),
        (LINE + ',,', '17 values instead of 16'),
        ('1/1.jpg', '1 values instead of 16'),
        ('1/1.jpg,0,0,0' + ',0' * 8, '12 values per line are an old file'),
        ('', 'blank'),
        (tree.HEADER, 'the header is repeated'),
        (tree.line('1/1.jpg', 'x,0'), "valence 'x' is not a number"),
        (tree.line('1/1.jpg', '0,'), "arousal '' is not a number"),
        (tree.line('1/1.jpg', 'nan,0'), "valence 'nan' is not a number"),
        (tree.line('1/1.jpg', '0,NaN'), "arousal 'NaN' is not a number"),
        (tree.line('1/1.jpg', '0.7_1,0'), "valence '0.7_1' is not a number"),
        (tree.line('1/1.jpg', '0,.٣'), "arousal '.٣' is not a number"),
        (
            tree.line('1/1.jpg', '\uff10.\uff15,0'),
            "valence '\uff10.\uff15' is not a number",
        ),
        (tree.line('1/1.jpg', expression='٣'), "expression '٣' is not a"),
        (
            tree.line('1/1.jpg', aus='\uff11' + ',0' * 11),
            "AU01 '\uff11' is not a number",
        ),
        (tree.line('1/1.jpg', '1.01,0'), 'valence 1.01 is out of range'),
        (tree.line('1/1.jpg', '0,-4'), 'arousal -4 is out of range'),
        (tree.line('1/1.jpg', 'inf,0'), "valence 'inf' is not a number"),
        (tree.line('1/1.jpg', expression='8'), 'expression 8 is out of range'),
        (tree.line('1/1.jpg', expression='-2'), 'expression -2 is out of'),
        (tree.line('1/1.jpg', expression='1.5'), 'expression 1.5 is out of'),
        (
            tree.line('1/1.jpg', expression='nan'),
            "expression 'nan' is not a number",
        ),
        (tree.line('1/1.jpg', expression='Fear'), "expression 'Fear' is not"),
        (tree.line('1/1.jpg', aus='2' + ',0' * 11), 'AU01 2 is out of range'),
        (tree.line('1/1.jpg', aus='0,' * 11 + 'x'), "AU26 'x' is not a number"),
        (tree.line('1/1.jpg', aus='0,0.5' + ',0' * 10), 'AU02 0.5 is out of'),
        (tree.line('1/1.jpg', aus='0,-5' + ',0' * 10), 'AU02 -5 is out of'),
        (tree.line('/data/1/1.jpg'), 'an absolute path'),
        (tree.line('../1.jpg'), "leaves its folder with '..'"),
        (tree.line('1/../1.jpg'), "leaves its folder with '..'"),
        (tree.line('1/face.jpg'), "frame 'face' is not a number"),
        (tree.line('1/-1.jpg'), "frame '-1' is not a number"),
        (tree.line('1/٣.jpg'), "frame '٣' is not a number"),
        (tree.line('1/9999999999.jpg'), 'frame number out of range'),
        (tree.line('1/.jpg'), "frame '' is not a number"),
        (tree.line('00001.jpg'), 'is not <video>/<frame>.jpg'),
        (tree.line('a/b/00001.jpg'), 'is not <video>/<frame>.jpg'),
        (tree.line('./00001.jpg'), 'is not <video>/<frame>.jpg'),
        (tree.line('1\\2/00001.jpg'), 'is not <video>/<frame>.jpg'),
        (tree.line('1/00001.png'), 'is not <video>/<frame>.jpg'),
    ],
)
def test_a_bad_line_is_reported_and_the_others_are_kept(bad, reason):
  rows, faults = parse(tree.HEADER, LINE, bad, LINE)
  assert [(row.row, row.line) for row in rows] == [(0, 2), (2, 4)]
  assert [fault.line for fault in faults] == [3]
  assert reason in faults[0].reason


def test_a_broken_byte_is_a_fault_of_its_line():
  content = f'{tree.HEADER}\n{LINE}\n'.encode() + LINE.encode().replace(
      b'0.05', b'\xff'
  )
  rows, faults = annotations.parse(content, labelled=True)
  assert len(rows) == 1
  assert [fault.line for fault in faults] == [3]


def test_labels_in_the_test_list_are_a_fault():
  rows, faults = parse('image', '1/1.jpg,', LINE, labelled=False)
  assert len(rows) == 1
  assert faults == [annotations.Fault(3, '16 values instead of 1')]


@pytest.mark.parametrize('content', ['', '\n', '\ufeff', f'{tree.HEADER}\n'])
@pytest.mark.parametrize('labelled', [True, False])
def test_an_empty_list_has_one_fault(content, labelled):
  rows, faults = annotations.parse(content.encode(), labelled=labelled)
  assert not rows
  assert [fault.reason for fault in faults] == ['the list is empty']


def test_an_old_file_with_8_aus_is_named_once():
  old = '1/1.jpg,0,0,0' + ',0' * 8
  rows, faults = parse(tree.HEADER, *[old] * 50)
  assert not rows
  assert [fault.line for fault in faults] == [2]
  assert 'an old file with 8 AUs' in faults[0].reason
