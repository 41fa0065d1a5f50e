"""CSV and Parquet are equal, and the schema file describes their columns."""

import csv
import json

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet
import pytest

from abaw_jax.tables import clip_files, columns, rows, summary

LAYOUT = rows.Layout(True, ('Neutral', 'Anger'), ('AU01', 'AU12'))


def frames():
  """Returns 300 frames with 0 to 2 faces and values of all kinds."""
  rng = np.random.default_rng(0)
  found = []
  for index in range(300):
    faces = []
    for face_id in range(index % 3):
      prob = rng.uniform()
      values = [*rng.uniform(-1, 1, 2), prob, 1 - prob, *rng.uniform(size=2)]
      geometry = rng.uniform(-10, 640, 14)
      geometry[4:] = np.nan if face_id else geometry[4:]
      faces.append(
          rows.FaceRow(
              face_id=face_id,
              confidence=rng.uniform(),
              detected=bool(index % 2),
              geometry=geometry.astype(np.float32),
              values=np.array(values, np.float32),
              interpolated=index % 7 == 0,
          )
      )
    found.append(rows.FrameRows(index, index / 29.97, index == 5, tuple(faces)))
  return found


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """Returns (paths, columns, frames, summary)."""
  paths = clip_files.ClipFiles(tmp_path_factory.mktemp('tables'), 'a.b')
  table_columns = columns.make_columns(LAYOUT, adaptive=True, interpolate=True)
  schema = clip_files.make_schema(
      clip={'sha256': '1'}, model={}, options={}, suffixes=['csv', 'parquet']
  )
  with clip_files.TableWriter(paths, LAYOUT, table_columns) as writer:
    for start in range(0, 300, 17):
      writer.write(frames()[start : start + 17])
    assert not paths.path('csv').exists()
    found = writer.finish(schema)
  return paths, table_columns, frames(), found


def test_csv_and_parquet_have_the_same_values(written):
  paths, _, given, _ = written
  table = parquet.read_table(paths.path('parquet'))
  types = {field.name: field.type for field in table.schema}
  options = arrow_csv.ConvertOptions(
      column_types=types, strings_can_be_null=True
  )
  other = arrow_csv.read_csv(paths.path('csv'), convert_options=options)
  assert other.equals(table)
  assert len(table) == sum(max(len(frame.faces), 1) for frame in given)


def test_values_are_those_of_the_frames(written):
  """The reader of this test is Python's csv, not Arrow."""
  paths, _, given, _ = written
  with paths.path('csv').open(newline='') as file:
    found = list(csv.DictReader(file))
  wanted = [(x, face) for x in given for face in x.faces or (None,)]
  for row, (frame, face) in zip(found, wanted, strict=True):
    assert int(row['frame']) == frame.index
    assert float(row['timestamp']) == frame.timestamp
    assert row['is_corrupt'] == str(int(frame.is_corrupt))
    if face is None:
      filled = {name for name, cell in row.items() if cell}
      assert filled == {
          'frame', 'timestamp', 'success', 'is_corrupt', 'interpolated',
      }  # fmt: skip
      assert row['success'] == '0'
      continue
    assert int(row['face_id']) == face.face_id
    assert row['success'] == str(int(not face.interpolated))
    for name, value in zip(LAYOUT.names, face.values, strict=True):
      assert np.float32(row[name]) == value
    for name, value in zip(rows.GEOMETRY, face.geometry, strict=True):
      assert (
          row[name] == '' if np.isnan(value) else np.float32(row[name]) == value
      )
    probs = [np.float32(row[f'expr_{name}']) for name in LAYOUT.expressions]
    assert row['expression'] == LAYOUT.expressions[int(np.argmax(probs))]
    for name in LAYOUT.aus:
      assert row[f'{name}_present'] == str(int(float(row[name]) >= 0.5))


def test_the_schema_file_describes_every_column(written):
  paths, table_columns, _, _ = written
  schema = json.loads(paths.path('schema.json').read_text())
  table = parquet.read_table(paths.path('parquet'))
  assert [x['name'] for x in schema['columns']] == table.column_names
  for column, field in zip(schema['columns'], table.schema, strict=True):
    assert pa.type_for_alias(column['type']) == field.type
    assert column['meaning'].endswith('.')
    assert column['range']
  assert len(table_columns) == len(table.column_names)
  assert schema['versions']['abaw_jax']
  assert paths.finished() == schema


def test_the_summary_counts_found_faces(written):
  _, _, given, found = written
  for entry in found['faces']:
    of_face = [
        face
        for frame in given
        for face in frame.faces
        if face.face_id == entry['face_id'] and not face.interpolated
    ]
    values = np.array([face.values for face in of_face], np.float64)
    assert entry['frames'] == 300
    assert entry['frames_found'] == len(of_face)
    assert entry['share_found'] == pytest.approx(len(of_face) / 300, abs=1e-6)
    assert entry['valence_mean'] == pytest.approx(values[:, 0].mean(), abs=1e-6)
    assert entry['arousal_std'] == pytest.approx(values[:, 1].std(), abs=1e-6)
    share = np.mean(values[:, 3] > values[:, 2])
    assert entry['share_Anger'] == pytest.approx(share, abs=1e-6)
    rate = np.mean(values[:, 5] >= 0.5)
    assert entry['rate_AU12'] == pytest.approx(rate, abs=1e-6)
  text = summary.to_csv([found, summary.Summary(LAYOUT).to_json('empty')])
  table = list(csv.DictReader(text.splitlines()))
  assert [(x['clip'], x['face_id']) for x in table] == [
      ('a.b', '0'), ('a.b', '1'), ('empty', ''),
  ]  # fmt: skip


def test_an_unfinished_table_leaves_nothing(tmp_path):
  paths = clip_files.ClipFiles(tmp_path, 'a')
  table_columns = columns.make_columns(
      LAYOUT, adaptive=False, interpolate=False
  )
  with clip_files.TableWriter(paths, LAYOUT, table_columns) as writer:
    writer.write(frames())
    assert list(tmp_path.iterdir())
  assert not list(tmp_path.iterdir())
  assert paths.finished() is None
