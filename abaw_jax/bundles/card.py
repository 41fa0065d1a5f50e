"""The model card of a bundle, with the metadata that model hubs read."""

from collections.abc import Iterator, Mapping
from typing import Any

UNKNOWN_LICENCE = 'unknown: it follows from the data and the initial weights'
_TITLES = {
    'P_MTL': 'P_MTL (sum of the three below)',
    'VA': 'valence and arousal: mean CCC',
    'EXPR': 'expressions: macro F1',
    'AU': 'action units: macro F1',
}
_HEADER = """\
---
library_name: abaw_jax
license: other
license_name: {licence}
pipeline_tag: {pipeline}
tags:
- facial-expression-recognition
- valence-arousal
- action-units
- jax
---
"""
_USE = """\
## Use

    abaw-jax predict CLIP.mp4 --model=FOLDER --out=DIR

FOLDER is the folder of this file. `config.json` and `model.safetensors` have
checksums: a changed one is refused.

It is meant for research on visible behaviour: numbers for every frame of a video, for
people who agreed to be analysed.

## Limits

- Expressions are not feelings. A prediction describes what a face shows, as the
  annotators of one dataset named it.
- Errors are larger for people, light, poses and cameras that are rare in the training
  data.
- Not for identifying people, and not for judging people where the judgement has
  consequences for them.
"""


def text(config: Mapping[str, Any]) -> str:
  """Returns the card of a bundle with this `config.json`."""
  video = bool(config['temporal'])
  header = _HEADER.format(
      licence=_quoted(config['licence']),
      pipeline='video-classification' if video else 'image-classification',
  )
  parts = [
      f'# {config["name"]}\n',
      '\n'.join(_summary(config)) + '\n',
      '## Scores\n\n' + '\n'.join(_scores(config)) + '\n',
      '## Data\n\n' + '\n'.join(_data(config['provenance'])) + '\n',
      f'## Licence\n\n{config["licence"]}\n',
      _USE,
  ]
  return header + '\n' + '\n'.join(parts)


def _summary(config) -> Iterator[str]:
  """Yields lines about inputs and outputs."""
  alignment, names = config['alignment'], config['labels']
  yield (
      f'Predicts {_listing(names["outputs"])} of aligned faces '
      f'({alignment["method"]}, {alignment["size"]} pixels)'
      + (' in videos.' if config['temporal'] else ', frame by frame.')
  )
  yield ''
  yield f'- Expressions: {_listing(names["expressions"])}'
  if names['aus']:
    yield f'- Action units: {_listing(names["aus"])}'
  for name, reason in config['untrained'].items():
    yield f'- Not trained: {name} ({reason})'
  frame = config['frame']['model']
  yield f'- Frame network: {frame.get("backbone", frame["name"])}'
  for section in config['temporal']:
    yield (
        f'- Temporal model: {section["model"]["encoder"]}, trained on windows of '
        f'{section["window"]} frames' + _below(len(section.get('below', ())))
    )
  kinds = {
      task: window['kind']
      for task, window in config['postprocessing']['smoothing'].items()
      if window['kind'] != 'none'
  }
  if kinds:
    found = [f'{task} {kind}' for task, kind in kinds.items()]
    yield f'- Smoothing: {_listing(found)}'


def _scores(config) -> Iterator[str]:
  """Yields a table of scores."""
  found = config['scores']
  if not found.get('scores'):
    yield 'Not scored: the runs of this bundle have no predictions with labels.'
    return
  yield f'On the split {found["split"]} of the data below' + (
      f' ({found["rows"]:,} rows), with 95% intervals over recordings:'
      if 'rows' in found
      else ':'
  )
  yield ''
  yield '| score | value | interval |'
  yield '| --- | --- | --- |'
  for name, (value, low, high) in found['scores'].items():
    interval = '' if low is None else f'{low:.4f} to {high:.4f}'
    yield f'| {_TITLES[name]} | {value:.4f} | {interval} |'
  yield ''
  yield (
      'The post-processing of this bundle is included. If it was fitted to these '
      'rows, the scores are too high.'
  )
  if any(one['stride'] < one['window'] for one in config['temporal']):
    yield 'These scores are of windows that do not overlap; here, windows overlap.'


def _data(provenance) -> Iterator[str]:
  """Yields lines about the origin of the weights."""
  frame = provenance['frame']
  for title, origin in (
      ('Frame network', frame),
      *(
          (title, one)
          for run in provenance['temporal']
          for title, one in (
              ('Temporal model', run),
              *(('Its hidden states', x) for x in run.get('below', ())),
          )
      ),
  ):
    if 'source' in origin:
      yield f'- {title}: {origin["source"]} of {origin["project"]}'
      continue
    data = [
        f'{name} ({", ".join(f"{split} {rows:,}" for split, rows in splits.items())})'
        for name, splits in origin.get('data', {}).items()
    ]
    step = f', step {origin["step"]}' if 'step' in origin else ''
    name = f'run {origin["run"]}' if 'run' in origin else origin['weights']
    yield f'- {title}: {name}{step}; data: {_listing(data)}'


def _below(count: int) -> str:
  return f', on hidden states of {count} other models' if count else ''


def _listing(names) -> str:
  return ', '.join(names) or 'unknown data'


def _quoted(value: str) -> str:
  """Returns a text in the quotes of YAML, on one line."""
  return "'" + ' '.join(value.split()).replace("'", "''") + "'"
