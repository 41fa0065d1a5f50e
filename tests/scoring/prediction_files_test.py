"""Files restore predictions exactly, and messages name wrong values."""

import dataclasses

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.scoring import prediction_files
from tests.core import disks
from tests.scoring import rows as made

SUFFIXES = tuple(prediction_files.FORMATS)


def _cleared(rows):
  """Returns the rows with missing labels set to 0, as in batches."""
  return dataclasses.replace(
      rows,
      target_valence=np.where(rows.va, rows.target_valence, 0),
      target_arousal=np.where(rows.va, rows.target_arousal, 0),
      target_expression=np.where(rows.expr, rows.target_expression, 0),
      target_au=np.where(rows.au_mask, rows.target_au, 0),
  )


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('labelled', [True, False])
def test_files_round_trip_exactly(tmp_path, suffix, labelled):
  rows = _cleared(made.make(videos=3))
  # The name of a video may be a number.
  names = np.where(rows.video == 'video0', '00116', rows.video)
  rows = dataclasses.replace(rows, video=names)
  if not labelled:
    rows = rows.without_labels()
  path = tmp_path / 'deep' / f'rows{suffix}'
  prediction_files.write(path, rows)
  back = prediction_files.read(path)
  for field in dataclasses.fields(rows):
    a, b = getattr(back, field.name), getattr(rows, field.name)
    np.testing.assert_array_equal(a, b, err_msg=field.name)
  if labelled:
    assert back.scores() == rows.scores()


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_an_interrupted_write_keeps_the_old_file(tmp_path, suffix, monkeypatch):
  path = tmp_path / f'rows{suffix}'
  prediction_files.write(path, made.make(videos=1))
  old = path.read_bytes()
  message = rf'cannot write rows{suffix} \(File too large'
  with disks.full(len(old)), pytest.raises(errors.InputError, match=message):
    prediction_files.write(path, made.make(videos=12))
  reader, writer = prediction_files.FORMATS[suffix]

  def interrupted(file, rows):
    writer(file, rows)
    raise KeyboardInterrupt

  monkeypatch.setitem(prediction_files.FORMATS, suffix, (reader, interrupted))
  with pytest.raises(KeyboardInterrupt):
    prediction_files.write(path, made.make(videos=2))
  assert [*tmp_path.iterdir()] == [path]
  assert path.read_bytes() == old


def test_smaller_types_and_other_arrays_are_accepted(tmp_path):
  rows = made.make(videos=2)
  path = tmp_path / 'validation.npz'
  np.savez_compressed(
      path,
      video=rows.video,
      frame_id=rows.frame_id.astype(np.int32),
      row=rows.row.astype(np.int32),
      pred_valence=rows.valence.astype(np.float32),
      pred_arousal=rows.arousal.astype(np.float32),
      pred_expression=rows.expression.astype(np.float32),
      pred_au=rows.au.astype(np.float32),
      valence=rows.target_valence.astype(np.float32),
      arousal=rows.target_arousal.astype(np.float32),
      expression=rows.target_expression.astype(np.int32),
      au=rows.target_au.astype(np.int8),
      va=rows.va,
      expr=rows.expr,
      au_mask=rows.au_mask,
      video_id=np.zeros(len(rows), np.int32),
  )
  back = prediction_files.read(path)
  np.testing.assert_allclose(back.expression, rows.expression, rtol=1e-6)
  np.testing.assert_array_equal(back.target_au, rows.target_au)


def test_tables_have_the_named_columns(tmp_path):
  rows = made.make(videos=2)
  prediction_files.write(tmp_path / 'rows.csv', rows)
  table = csv.read_csv(tmp_path / 'rows.csv')
  names = [f'expr_{name}' for name in labels.EXPRESSIONS]
  outputs = ['valence', 'arousal', *names, *labels.AU_NAMES, 'expression']
  assert table.column_names[:3] == ['video', 'frame', 'row']
  assert table.column_names[3 : 3 + len(outputs)] == outputs
  predicted = [labels.EXPRESSIONS[i] for i in rows.expression.argmax(-1)]
  assert table['expression'].to_pylist() == predicted
  known = [v is not None for v in table['label_AU01'].to_pylist()]
  np.testing.assert_array_equal(known, rows.au_mask[:, 0])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pred_arousal': None}, 'it has no array pred_arousal; take'),
        (
            {'pred_au': np.zeros([80, 8])},
            r'pred_au is float64 \[80, 8\]; expected float \[80, 12\]',
        ),
        (
            {'va': np.ones(80)},
            r'va is float64 \[80\]; expected bool \[80\]',
        ),
        ({'row': np.arange(7)}, r'\[7\]'),
        ({'video': np.array([b'a'] * 80)}, 'video is .* expected text'),
    ],
)
def test_messages_name_wrong_arrays(tmp_path, change, message):
  path = tmp_path / 'a.npz'
  prediction_files.write(path, made.make(videos=2))
  arrays = dict(np.load(path)) | change
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  with pytest.raises(errors.InputError, match=message):
    prediction_files.read(path)


@pytest.mark.parametrize(
    ('column', 'values', 'message'),
    [
        ('AU04', None, 'it has no column AU04'),
        (
            'arousal',
            [None, *[0.0] * 79],
            'line 1 of the table: arousal is empty',
        ),
        ('frame', ['x'] * 80, 'frame: .*expected int64'),
        (
            'label_expression',
            ['Happy'] * 80,
            "is 'Happy'; expected one of Neutral",
        ),
        (
            'AU01',
            [2.0] * 80,
            r'AU01 is 2.0; expected a probability in \[0, 1\]',
        ),
    ],
)
def test_messages_name_wrong_columns(tmp_path, column, values, message):
  path = tmp_path / 'a.parquet'
  prediction_files.write(path, made.make(videos=2))
  table = parquet.read_table(path)
  at = table.column_names.index(column)
  table = table.remove_column(at)
  if values is not None:
    table = table.add_column(at, column, pa.array(values))
  parquet.write_table(table, path)
  with pytest.raises(errors.InputError, match=message):
    prediction_files.read(path)


@pytest.mark.parametrize('text', ['high', '0.7_1', '\u0663', 'nan', 'inf'])
def test_other_texts_than_numbers_are_one_line(tmp_path, text):
  path = tmp_path / 'a.csv'
  prediction_files.write(path, made.make(videos=1, frames=3))
  lines = path.read_text().split('\n')
  values = lines[2].split(',')
  values[3] = text
  path.write_text('\n'.join([*lines[:2], ','.join(values), *lines[3:]]))
  with pytest.raises(
      errors.InputError, match=f'{text}.*(number|value)'
  ) as caught:
    prediction_files.read(path)
  assert '\n' not in str(caught.value)


def test_other_files_are_refused(tmp_path):
  with pytest.raises(errors.InputError, match=r"'.txt'; choose from .npz"):
    prediction_files.read(tmp_path / 'a.txt')
  with pytest.raises(errors.InputError, match='there is no such file'):
    prediction_files.read(tmp_path / 'a.npz')
  for suffix in SUFFIXES:
    path = tmp_path / f'b{suffix}'
    path.write_text('nonsense\n\x00')
    with pytest.raises(errors.InputError, match='b'):
      prediction_files.read(path)
