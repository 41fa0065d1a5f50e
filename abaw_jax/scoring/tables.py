"""Predictions as Parquet and CSV tables with named columns.

A line per row of the list: `video` (text), `frame`, `row`, `valence`,
`arousal`, the probabilities `expr_Neutral` .. `expr_Other` and `AU01` .. `AU26`,
and `expression`, the name of the most probable one (written for the reader; it
is not read back). An AU is predicted present where its probability is at least
0.5. Tables of a labelled split also have `label_valence`, `label_arousal`,
`label_expression` (a name) and `label_AU01` .. `label_AU26` (0 or 1), which are
empty where a row has no such label.
"""

from collections.abc import Callable
import dataclasses
import pathlib

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from abaw_jax.core import errors, labels
from abaw_jax.scoring import predictions

_EXPRESSIONS = tuple(f'expr_{name}' for name in labels.EXPRESSIONS)
# Columns that are read, with their types.
_TYPES = {
    'video': pa.string(),
    'frame': pa.int64(),
    'row': pa.int64(),
    'valence': pa.float64(),
    'arousal': pa.float64(),
    **dict.fromkeys((*_EXPRESSIONS, *labels.AU_NAMES), pa.float64()),
}
_LABELS = {
    'label_valence': pa.float64(),
    'label_arousal': pa.float64(),
    'label_expression': pa.string(),
    **{f'label_{name}': pa.int8() for name in labels.AU_NAMES},
}


def write_parquet(path: pathlib.Path, rows: predictions.Predictions) -> None:
  """Writes predictions as Parquet."""
  parquet.write_table(_table(rows), path)


def write_csv(path: pathlib.Path, rows: predictions.Predictions) -> None:
  """Writes predictions as CSV with a header."""
  csv.write_csv(_table(rows), path, csv.WriteOptions(quoting_style='needed'))


def read_parquet(path: pathlib.Path) -> predictions.Predictions:
  """Returns the predictions of a Parquet file; raises InputError."""
  return _read(path, lambda: parquet.read_table(path))


def read_csv(path: pathlib.Path) -> predictions.Predictions:
  """Returns the predictions of a CSV file; raises InputError."""
  types = csv.ConvertOptions(
      # Videos may be numbers; and only what is empty is missing.
      column_types={**_TYPES, **_LABELS},
      null_values=[''],
      strings_can_be_null=True,
  )
  return _read(path, lambda: csv.read_csv(path, convert_options=types))


def _table(rows: predictions.Predictions) -> pa.Table:
  names = np.array(labels.EXPRESSIONS)
  columns = {
      'video': rows.video,
      'frame': rows.frame_id,
      'row': rows.row,
      'valence': rows.valence,
      'arousal': rows.arousal,
      **dict(zip(_EXPRESSIONS, rows.expression.T, strict=True)),
      **dict(zip(labels.AU_NAMES, rows.au.T, strict=True)),
      'expression': names[np.argmax(rows.expression, axis=-1)],
  }
  types = {**_TYPES, 'expression': pa.string()}
  arrays = {k: pa.array(v, types[k]) for k, v in columns.items()}
  if rows.labelled:
    named = {
        'valence': (rows.target_valence, ~rows.va),
        'arousal': (rows.target_arousal, ~rows.va),
        'expression': (
            names[np.where(rows.expr, rows.target_expression, 0)],
            ~rows.expr,
        ),
        **{
            name: (rows.target_au[:, i], ~rows.au_mask[:, i])
            for i, name in enumerate(labels.AU_NAMES)
        },
    }
    for name, (values, missing) in named.items():
      column = f'label_{name}'
      arrays[column] = pa.array(values, _LABELS[column], mask=missing)
  return pa.table(arrays)


def _read(
    path: pathlib.Path, load: Callable[[], pa.Table]
) -> predictions.Predictions:
  try:
    table = load()
  except (pa.ArrowException, OSError) as e:
    raise errors.InputError(
        f'{path}: it cannot be read: {" ".join(str(e).split())}; mend that value'
    ) from e
  wanted = dict(_TYPES)
  if set(_LABELS) & set(table.column_names):
    wanted |= _LABELS
  columns, masks = {}, {}
  for name, kind in wanted.items():
    if name not in table.column_names:
      raise errors.InputError(
          f'{path}: it has no column {name}; expected {", ".join(wanted)}'
      )
    try:
      column = table[name].cast(kind).combine_chunks()
    except pa.ArrowException as e:
      raise errors.InputError(f'{path}: {name}: {e}; expected {kind}') from e
    masks[name] = column.is_valid().to_numpy(zero_copy_only=False)
    if name in _TYPES and not masks[name].all():
      line = int(np.argmin(masks[name]))
      raise errors.InputError(
          f'{path}: line {line + 1} of the table: {name} is empty; expected '
          f'{kind}'
      )
    filled = column.fill_null('' if kind == pa.string() else 0)
    columns[name] = filled.to_numpy(zero_copy_only=False)
  rows = predictions.Predictions.without_labels(
      video=columns['video'].astype(str),
      frame_id=columns['frame'],
      row=columns['row'],
      valence=columns['valence'],
      arousal=columns['arousal'],
      expression=np.stack([columns[k] for k in _EXPRESSIONS], axis=-1),
      au=np.stack([columns[k] for k in labels.AU_NAMES], axis=-1),
  )
  return (
      _with_labels(path, rows, columns, masks)
      if len(wanted) > len(_TYPES)
      else rows
  )


def _with_labels(path, rows, columns, masks) -> predictions.Predictions:
  """Returns the rows with the labels of the columns."""
  names, where = np.unique(columns['label_expression'], return_inverse=True)
  ids = dict(
      zip(labels.EXPRESSIONS, range(labels.NUM_EXPRESSIONS), strict=True)
  )
  for name in names:
    if name and name not in ids:
      at = int(np.argmax(columns['label_expression'] == name))
      raise errors.InputError(
          f'{path}: {rows.where(at)}: label_expression is {name!r}; expected '
          f'one of {", ".join(ids)}, or nothing'
      )
  known = np.array([ids.get(name, 0) for name in names])
  au = [f'label_{name}' for name in labels.AU_NAMES]
  return dataclasses.replace(
      rows,
      target_valence=columns['label_valence'],
      target_arousal=columns['label_arousal'],
      target_expression=known[where],
      target_au=np.stack([columns[k] for k in au], axis=-1),
      va=masks['label_valence'] & masks['label_arousal'],
      expr=masks['label_expression'],
      au_mask=np.stack([masks[k] for k in au], axis=-1),
  )
