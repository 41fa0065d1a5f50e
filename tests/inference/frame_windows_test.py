"""Features of a frame are those of its window, also at edges and gaps."""

import itertools
import json

import cv2
import numpy as np
import pytest
import torch
import transformers

from abaw_jax.conversion import convert
from abaw_jax.core import errors
from abaw_jax.data import images, sources
from abaw_jax.inference import extraction, frame_windows
from tests.conversion import tiny_vits
from tests.data import corpora

SIZES = tiny_vits.SIZES | {'intermediate_size': 24, 'num_frames': 4}


class Records(sources.Records):
  """Records in memory."""

  def __init__(self, records):
    self._records = records

  def __len__(self):
    return len(self._records)

  def __getitem__(self, index):
    return self._records[index]

  def with_fields(self, *names):
    return Records([{name: record[name] for name in names} for record in self])


@pytest.fixture(name='records', scope='module')
def _records():
  """Returns records of two videos with gaps and repetitions, in any order.

  Each image shows its video and its frame number.
  """
  found = []
  for record in corpora.chunks(corpora.rows({'a': 23, 'b': 5}), 6):
    pixels = np.zeros((len(record['row']), 8, 8, 3), np.uint8)
    pixels[..., 0] = record['frame_id'][:, None, None]
    pixels[..., 1] = ord(record['video'])
    encoded = [cv2.imencode('.png', x[..., ::-1])[1].tobytes() for x in pixels]
    found.append(record | {'video': record['video'].encode(), 'image': encoded})
  return Records(found)


def by_hand(frames, frame, sampling) -> tuple[list[int], int]:
  """Returns the frame numbers of the window of a frame, and the frame's tubelet."""
  parts = [[frames[0]]]
  for before, after in itertools.pairwise(frames):
    if sampling.max_gap and after - before > sampling.max_gap:
      parts.append([])
    parts[-1].append(after)
  (part,) = [part for part in parts if frame in part]
  width = sampling.num_frames * sampling.sampling_rate
  for start in range(-width, len(part), 1):
    middle = start + (width - sampling.hop) // 2
    owned = range(middle, middle + sampling.hop)
    if middle % sampling.hop == 0 and part.index(frame) in owned:
      break
  window, tubelet = [], None
  for i in range(sampling.num_frames):
    first = start + i * sampling.sampling_rate
    window.append(part[min(max(first, 0), len(part) - 1)])
    if part.index(frame) in range(first, first + sampling.sampling_rate):
      tubelet = i // sampling.tubelet_size
  return window, tubelet


@pytest.mark.parametrize(
    ('hop', 'sampling_rate', 'max_gap', 'tubelet_size'),
    [(2, 1, 0, 2), (1, 1, 0, 1), (4, 1, 5, 2), (5, 3, 4, 2), (3, 2, 1, 4)],
)
def test_windows_are_those_of_the_definition(
    records, hop, sampling_rate, max_gap, tubelet_size
):
  sampling = frame_windows.Sampling(
      4, tubelet_size, hop, sampling_rate, max_gap
  )
  source = frame_windows.read(records, sampling, {'image_size': 8})
  assert len(source) == len(records)
  for index, record in enumerate(records):
    frames = {
        frame
        for other in records
        if other['video'] == record['video']
        for frame in other['frame_id'].tolist()
    }
    found = source[index]
    assert (found['image'][..., 1] == record['video'][0]).all()
    assert len(np.unique(found['windows'])) == len(found['image'])
    windows = found['image'][found['windows'], 0, 0, 0]
    for frame, place in zip(record['frame_id'], found['place'], strict=True):
      which, tubelet = divmod(place, 4 // tubelet_size)
      window, want = by_hand(sorted(frames), frame, sampling)
      assert windows[which].tolist() == window
      assert tubelet == want


@pytest.fixture(name='network', scope='module')
def _network(tmp_path_factory):
  """Returns a tiny VideoMAE of Hugging Face, and the folder of its weights."""
  folder = tmp_path_factory.mktemp('videomae')
  config = transformers.VideoMAEConfig(**SIZES, use_mean_pooling=False)
  model = transformers.VideoMAEModel(config).eval()
  tiny_vits.randomize(model)
  model.save_pretrained(folder / 'theirs')
  convert.import_weights(
      folder / 'theirs' / 'model.safetensors', folder / 'ours'
  )
  return model, folder / 'ours'


def extract(folder, data, name, **options):
  extraction.extract(
      init_from=folder,
      data_dir=data,
      dataset='s_aff_wild2',
      name=name,
      batch_size=options.pop('batch_size', 64),
      **options,
  )
  place = data, 's_aff_wild2_features', name
  return {split: sources.Records(*place, split) for split in ('train', 'test')}


def frames_of(records) -> dict[bytes, dict[int, dict[str, np.ndarray]]]:
  """Returns a value of each frame by video and frame number."""
  found = {}
  for record in records:
    name = 'image' if 'image' in record else 'features'
    video = found.setdefault(record['video'], {})
    video |= dict(zip(record['frame_id'].tolist(), record[name], strict=True))
  return found


def test_features_are_those_of_hugging_face_for_the_window(
    network, data_dir, tmp_path
):
  model, folder = network
  (tmp_path / 's_aff_wild2').symlink_to(data_dir / 's_aff_wild2')
  found = extract(folder, tmp_path, 'video')
  whole = extract(
      folder, tmp_path, 'whole', windows={'span': 'window', 'hop': 3}
  )
  card = json.loads(
      (tmp_path / 's_aff_wild2_features/whole/1.0.0/card.json').read_text()
  )
  assert card['windows']['hop'] == 3
  assert card['model']['span'] == 'window'
  place = tmp_path, 's_aff_wild2', 'sequences'
  encoded = frames_of(sources.Records(*place, 'test'))
  for records, sampling in (
      (found, frame_windows.Sampling(4, 2, 2, 1, 0)),
      (whole, frame_windows.Sampling(4, 4, 3, 1, 0)),
  ):
    features = frames_of(records['test'])
    for video, frames in sorted(encoded.items())[:1]:
      numbers = sorted(frames)
      plans = [by_hand(numbers, x, sampling) for x in numbers]
      pixels = np.empty((len(numbers), 4, 12, 12, 3), np.uint8)
      for i, (window, _) in enumerate(plans):
        for j, number in enumerate(window):
          images.fill(
              pixels[i, j], frames[number], images.Resizing('crop', 'bilinear')
          )
      mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
      normal = ((pixels / 255 - mean) / std).transpose(0, 1, 4, 2, 3)
      with torch.no_grad():
        hidden = model(torch.tensor(normal, dtype=torch.float32))
      hidden = hidden.last_hidden_state.numpy()
      hidden = hidden.reshape(len(numbers), 4 // sampling.tubelet_size, -1, 16)
      want = [
          x[tubelet].mean(0)
          for x, (_, tubelet) in zip(hidden, plans, strict=True)
      ]
      have = [features[video][x] for x in numbers]
      np.testing.assert_allclose(have, want, atol=1e-4)


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'windows': {'hop': 5}}, '--hop=5: is not between 1 and the 4'),
        ({'batch_size': 6}, '--batch_size=6: is no multiple of 4 frames'),
        ({'pool': 'cls'}, 'no class token'),
        ({'output': 'logits'}, '--output=logits'),
    ],
)
def test_wrong_options_are_refused(network, data_dir, options, text):
  with pytest.raises(errors.InputError, match=text):
    extract(network[1], data_dir, 'wrong', **options)
