"""Pictures of the page: plots of runs, and the frames with the largest errors."""

import base64
import io
import pathlib
import re

from jaxtyping import Float
import numpy as np
from PIL import Image

from abaw_jax.core import errors, labels
from abaw_jax.data import sources
from abaw_jax.report_page import inputs, parts
from abaw_jax.scoring import predictions

_WORST = 18
_PER_VIDEO = 3
_THUMBNAIL = 96  # pixels
_PLOT = 900
_STEP = re.compile(r'(.*)_(\d+)')


def section(found: inputs.Inputs) -> parts.Section:
  """Returns the plots of runs and the worst frames of predictions."""
  items = [part for run in found.runs for part in _plots(run)]
  for one in found.predictions:
    items += _worst_frames(one)
  return parts.Section('Pictures', items)


def _plots(run: inputs.Run) -> list[parts.Part]:
  """Returns the first and the last picture of each kind in `plots/`."""
  kinds: dict[str, list[tuple[int, pathlib.Path]]] = {}
  for path in (run.workdir / 'plots').glob('*.png'):
    match = _STEP.fullmatch(path.stem)
    kind, step = (match[1], int(match[2])) if match else (path.stem, 0)
    kinds.setdefault(kind, []).append((step, path))
  items = []
  for kind, pictures in sorted(kinds.items()):
    pictures.sort()
    shown = dict([pictures[0], pictures[-1]])
    items.append(
        parts.Pictures(
            f'{kind.capitalize()}: {run.name}',
            f'{len(pictures)} of them are in plots/; the first and the last are '
            'here, made smaller.',
            [
                (_data_uri(path, _PLOT), f'{kind} at update {step:,}')
                for step, path in shown.items()
            ],
            large=True,
        )
    )
  return items


def frame_errors(rows: predictions.Predictions) -> Float[np.ndarray, 'n']:
  """Returns the error of each row in [0, 1], NaN without labels.

  It is the mean over the tasks with labels: the distance in the plane of valence and
  arousal as a share of the largest possible one, 1 minus the probability of the
  labelled expression, and the mean absolute error of the probabilities of AUs.
  """
  rows = rows.scorable()
  distance = np.hypot(
      np.clip(rows.valence, -1, 1) - rows.target_valence,
      np.clip(rows.arousal, -1, 1) - rows.target_arousal,
  )
  label = np.where(rows.expr, rows.target_expression, 0)
  prob = np.take_along_axis(rows.expression, label[:, None], axis=-1)[:, 0]
  known = np.maximum(rows.au_mask.sum(axis=-1), 1)
  wrong = np.where(rows.au_mask, np.abs(rows.au - rows.target_au), 0)
  parts_of_error = np.stack(
      [
          np.where(rows.va, distance / np.sqrt(8), np.nan),
          np.where(rows.expr, 1 - prob, np.nan),
          np.where(
              rows.au_mask.any(axis=-1), wrong.sum(axis=-1) / known, np.nan
          ),
      ]
  )
  count = np.isfinite(parts_of_error).sum(axis=0)
  total = np.nansum(parts_of_error, axis=0)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def worst_rows(rows: predictions.Predictions) -> list[int]:
  """Returns the positions of the rows with the largest errors, few per video."""
  error = frame_errors(rows)
  chosen, videos = [], {}
  for i in np.argsort(-error, kind='stable'):
    video = str(rows.video[i])
    if not np.isfinite(error[i]) or len(chosen) == _WORST:
      break
    if videos.get(video, 0) < _PER_VIDEO:
      videos[video] = videos.get(video, 0) + 1
      chosen.append(int(i))
  return chosen


def _worst_frames(one: inputs.Prediction) -> list[parts.Part]:
  if one.config is None or not one.rows.labelled:
    return []
  chosen = worst_rows(one.rows)
  try:
    images = _images(one, {int(one.rows.row[i]) for i in chosen})
  except errors.InputError as e:
    return [parts.Note(f'{one.name}: no thumbnails of the worst frames: {e}')]
  error = frame_errors(one.rows)
  shown = [
      (
          _data_uri(io.BytesIO(images[row]), _THUMBNAIL),
          _text(one.rows, i, error),
      )
      for i in chosen
      if (row := int(one.rows.row[i])) in images
  ]
  caption = (
      'The error is the mean over the labelled tasks: distance of valence and '
      'arousal as a share of the largest one, 1 minus the probability of the '
      'labelled expression, and mean absolute error of the AUs. At most '
      f'{_PER_VIDEO} frames per video.'
  )
  return [parts.Pictures(f'Worst frames: {one.name}', caption, shown)]


def _text(rows: predictions.Predictions, i: int, error) -> str:
  predicted = labels.EXPRESSIONS[int(rows.expression[i].argmax())]
  parts_of_text = [
      f'{rows.video[i]} frame {rows.frame_id[i]}: error {error[i]:.2f}'
  ]
  if rows.expr[i]:
    label = labels.EXPRESSIONS[rows.target_expression[i]]
    parts_of_text.append(f'{label} predicted as {predicted}')
  if rows.va[i] and rows.predicts('va'):
    parts_of_text.append(
        f'valence {rows.target_valence[i]:.2f} as {rows.valence[i]:.2f}, '
        f'arousal {rows.target_arousal[i]:.2f} as {rows.arousal[i]:.2f}'
    )
  return '; '.join(parts_of_text)


def _images(one: inputs.Prediction, wanted: set[int]) -> dict[int, bytes]:
  """Returns the encoded images of some rows of the list.

  Raises:
    InputError: the dataset is not there, or its rows are not those of one list.
  """
  data = one.config['data']
  if ',' in data['name']:
    raise errors.InputError(
        f'config.data.name={data["name"]} names several datasets, so a row is '
        'not in one list'
    )
  dataset = data['name'].partition('/')[0]
  fields = ('row', 'image')
  try:
    records = sources.Records(
        data['dir'], dataset, 'frames', one.split, fields=fields
    )
  except errors.InputError:
    records = sources.Records(
        data['dir'], dataset, 'sequences', one.split, fields=fields
    )
  rows_only, found = records.with_fields('row'), {}
  for i, record in enumerate(rows_only):
    rows = np.atleast_1d(record['row'])
    if wanted.isdisjoint(rows.tolist()):
      continue
    image = records[i]['image']
    images = image if isinstance(image, list) else [image]
    found |= {
        int(row): content
        for row, content in zip(rows, images, strict=True)
        if row in wanted
    }
  return found


def _data_uri(source: pathlib.Path | io.BytesIO, side: int) -> str:
  """Returns an image as WebP, with at most `side` pixels on its long side."""
  with Image.open(source) as image:
    image = image.convert('RGB')
    image.thumbnail((side, side))
    content = io.BytesIO()
    image.save(content, 'WEBP', quality=78)
  text = base64.b64encode(content.getvalue()).decode()
  return f'data:image/webp;base64,{text}'
