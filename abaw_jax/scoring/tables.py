"""Predictions as Parquet and CSV tables with named columns.

One row for each row of the list: `video` (text), `frame`, `row`, `valence`,
`arousal`, the probabilities `expr_Neutral` .. `expr_Other` and `AU01` .. `AU26`,
and `expression`, the name of the most probable one (for people; it is not read
back). An AU is present where its probability is at least 0.5. Tables with labels
also have `label_valence`, `label_arousal`, `label_expression` (a name) and
`label_AU01` .. `label_AU26` (0 or 1). A missing label is an empty cell. A model that
predicts no valence and arousal, or no AUs, has no such columns.
"""

from collections.abc import Callable
import dataclasses
import json

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from abaw_jax.core import errors, files, labels
from abaw_jax.scoring import predictions

# Metadata of a Parquet file: the fingerprints of the predicted datasets.
_DATA = b'data'
_ARROW = {
    np.str_: pa.string(),
    np.int64: pa.int64(),
    np.int8: pa.int8(),
    np.float64: pa.float64(),
}
# Fields that have columns, with and without labels.
_FIELDS = {k: v for k, v in predictions.SCHEMA.items() if v.columns}
_OUTPUTS = {k: v for k, v in _FIELDS.items() if not v.mask}
_LABELS = {k: v for k, v in _FIELDS.items() if v.mask}


def write_parquet(path: files.Path, rows: predictions.Predictions) -> None:
  """Writes predictions as Parquet."""
  table = _table(rows)
  if rows.data:
    table = table.replace_schema_metadata({_DATA: json.dumps(rows.data)})
  parquet.write_table(table, path)


def write_csv(path: files.Path, rows: predictions.Predictions) -> None:
  """Writes predictions as CSV with a header, without the fingerprints of the data."""
  csv.write_csv(_table(rows), path, csv.WriteOptions(quoting_style='needed'))


def read_parquet(path: files.Path) -> predictions.Predictions:
  """Returns the predictions of a Parquet file; raises InputError."""
  return _read(path, lambda: parquet.read_table(path))


def read_csv(path: files.Path) -> predictions.Predictions:
  """Returns the predictions of a CSV file; raises InputError."""
  types = csv.ConvertOptions(
      # The name of a video may be a number. Only an empty cell is missing.
      column_types=_types(_FIELDS),
      null_values=[''],
      strings_can_be_null=True,
  )
  return _read(path, lambda: csv.read_csv(path, convert_options=types))


def _types(fields: dict[str, predictions.Schema]) -> dict[str, pa.DataType]:
  """Returns the type of every column; a labelled expression is a name."""
  types = {
      column: _ARROW[schema.dtype]
      for schema in fields.values()
      for column in schema.columns
  }
  if 'label_expression' in types:
    types['label_expression'] = pa.string()
  return types


def _table(rows: predictions.Predictions) -> pa.Table:
  names = np.array(labels.EXPRESSIONS)
  types, arrays = _types(_FIELDS), {}
  for field, schema in (_FIELDS if rows.labelled else _OUTPUTS).items():
    values = getattr(rows, field)
    missing = ~getattr(rows, schema.mask) if schema.mask else None
    if field == 'target_expression':
      values = names[np.where(missing, 0, values)]
    absent = schema.task and not rows.predicts(schema.task)
    for i, column in enumerate(() if absent else schema.columns):
      at = (slice(None), i) if schema.shape else slice(None)
      arrays[column] = pa.array(
          values[at],
          types[column],
          mask=None if missing is None else missing[at],
      )
    if field == 'au':
      most_probable = names[np.argmax(rows.expression, axis=-1)]
      arrays['expression'] = pa.array(most_probable, pa.string())
  return pa.table(arrays)


def _read(
    path: files.Path, load: Callable[[], pa.Table]
) -> predictions.Predictions:
  try:
    table = load()
  except (pa.ArrowException, OSError) as e:
    raise errors.InputError(
        f'{path}: it cannot be read: {" ".join(str(e).split())}; correct that '
        'value'
    ) from e
  labelled = not _types(_LABELS).keys().isdisjoint(table.column_names)
  fields = _present(_FIELDS if labelled else _OUTPUTS, table.column_names)
  types, required = _types(fields), _types(
      _present(_OUTPUTS, table.column_names)
  )
  columns, known = {}, {}
  for name, kind in types.items():
    if name not in table.column_names:
      raise errors.InputError(
          f'{path}: it has no column {name}; expected {", ".join(types)}'
      )
    try:
      column = table[name].cast(kind).combine_chunks()
    except pa.ArrowException as e:
      raise errors.InputError(f'{path}: {name}: {e}; expected {kind}') from e
    known[name] = column.is_valid().to_numpy(zero_copy_only=False)
    if name in required and not known[name].all():
      line = int(np.argmin(known[name]))
      raise errors.InputError(
          f'{path}: line {line + 1} of the table: {name} is empty; expected '
          f'{kind}'
      )
    filled = column.fill_null('' if kind == pa.string() else 0)
    columns[name] = filled.to_numpy(zero_copy_only=False)
  if labelled:
    columns['label_expression'] = _expression_ids(path, columns)
  arrays = {}
  for schema in fields.values():
    parts = np.stack([columns[name] for name in schema.columns], axis=-1)
    usable = np.stack([known[name] for name in schema.columns], axis=-1)
    arrays[schema.array] = parts.reshape(-1, *schema.shape).astype(schema.dtype)
    if schema.mask:
      # Valence and arousal share a mask: both are needed.
      usable = usable.reshape(-1, *schema.shape)
      arrays[schema.mask] = arrays.get(schema.mask, True) & usable
  data = json.loads((table.schema.metadata or {}).get(_DATA, '{}'))
  rows = predictions.Predictions.from_rows(arrays)
  return dataclasses.replace(rows, data=data)


def _present(fields: dict, columns: list[str]) -> dict[str, predictions.Schema]:
  """Returns the fields without those of tasks that have no column."""
  tasks = {
      schema.task
      for schema in fields.values()
      if not set(columns).isdisjoint(schema.columns)
  }
  return {k: v for k, v in fields.items() if not v.task or v.task in tasks}


def _expression_ids(path: files.Path, columns) -> np.ndarray:
  """Returns the class ids of labelled expressions; 0 for an empty cell."""
  ids = {name: i for i, name in enumerate(labels.EXPRESSIONS)} | {'': 0}
  names = columns['label_expression']
  for line, name in enumerate(names):
    if name not in ids:
      raise errors.InputError(
          f'{path}: row {columns["row"][line]} (video '
          f'{columns["video"][line]}, frame {columns["frame"][line]}): '
          f'label_expression is {name!r}; expected one of '
          f'{", ".join(labels.EXPRESSIONS)}, or an empty cell'
      )
  return np.array([ids[name] for name in names])
