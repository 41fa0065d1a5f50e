"""The page of `report` in a real browser, and its numbers."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.report_page import (
    clip_videos,
    drawing,
    inputs,
    page,
    parts,
    pictures,
    reliability,
)
from tests import chromium
from tests.report_page import fakes
from tests.training import runs

pytest.importorskip('plotly')
pytest.importorskip('av')

READY = 'document.documentElement.dataset.ready'


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """Returns the folder with the inputs, and the predictions in them."""
  folder = tmp_path_factory.mktemp('report')
  rows = [fakes.make_predictions(seed) for seed in (1, 2)]
  fakes.write_run(folder / 'run', rows[0])
  path = folder / 'other.parquet'
  fakes.prediction_files.write(path, rows[1])
  return folder, rows, fakes.write_clip(folder / 'clips')


@pytest.fixture(scope='module')
def written(made):
  """Returns the page that the command writes."""
  folder, _, _ = made
  process = runs.start(
      'abaw_jax.report', 'run', 'other.parquet', 'clips', '--out=page.html',
      '--title=A <b>title</b>', cwd=folder,
  )  # fmt: skip
  status, out, error = runs.finish(process)
  assert (status, error) == (0, '')
  assert out.startswith('page.html: ')
  return folder / 'page.html'


@pytest.fixture(scope='module')
def figures(written):
  """Returns traces, layout and caption of every figure by its title."""
  found = {}
  pattern = (
      r'<h3 id="[^"]*">(.*?)</h3>.*?<figcaption[^>]*>(.*?)</figcaption>.*?'
      r'<script type="application/json"[^>]*>(.*?)</script>'
  )
  text = written.read_text().partition('<main>')[2].partition('</main>')[0]
  for part in text.split('<figure')[1:]:
    if match := re.search(pattern, part, re.DOTALL):
      found[match[1]] = json.loads(match[3]) | {'caption': match[2]}
  return found


@pytest.fixture(scope='module')
def browser(written, tmp_path_factory):
  with chromium.start(tmp_path_factory.mktemp('profile')) as tab:
    tab.show_as(1280, 900)
    tab.open(written.as_uri())
    tab.wait(READY, 60)
    yield tab


def values(packed) -> np.ndarray:
  """Returns an array of a figure."""
  array = np.frombuffer(base64.b64decode(packed['bdata']), packed['dtype'])
  shape = packed.get('shape')
  return array.reshape([int(n) for n in shape.split(',')]) if shape else array


def test_all_figures_are_drawn_without_a_message_or_a_request(
    browser, written, figures
):
  assert browser.problems == []
  local = ('file:', 'data:', 'blob:')
  assert [x for x in browser.requests if not x.startswith(local)] == []
  assert written.stat().st_size < 10e6
  drawn = browser.js(
      "document.querySelectorAll('.plot .main-svg .bglayer').length"
  )
  assert drawn >= len(figures)
  buttons = browser.js("""[...new Set([...document.querySelectorAll(
      '.modebar-btn')].map((x) => x.dataset.title))].join()""")
  assert 'Zoom' in buttons
  assert 'hare' not in buttons  # it would send the data to a server
  titles = [
      'Training loss', 'Throughput', 'Share of time waiting for data',
      'Validation P_MTL', 'Where the time went', 'F1 of expressions',
      'F1 of action units: run', 'Confusion of expressions: other.parquet',
      'Reliability of expressions', 'Reliability of action units',
      'video0: run', 'Face 0 of clip', 'Face 1 of clip',
  ]  # fmt: skip
  assert [title for title in titles if title not in figures] == []
  heading = browser.js("document.querySelector('h1').textContent")
  assert heading == 'A <b>title</b>'
  text = browser.js('document.body.innerText')
  assert 'no thumbnails of the worst frames' in text  # the dataset is not there
  assert 'Model: a </script>' in text
  assert browser.js("document.querySelectorAll('.large img').length") == 2


def test_a_seek_moves_the_cursor_and_a_click_moves_the_video(browser):
  cursors = "[...document.querySelectorAll('.plot[data-video]')].map((x) => x.layout.shapes[0].x0)"
  browser.js("document.querySelector('video').currentTime = 2.5")
  browser.wait(f'{cursors}.every((x) => x == 2.5)')
  assert browser.js(f'{cursors}.length') == 2

  # Keys on a timeline.
  browser.js("document.querySelector('.plot[data-video]').focus()")
  for kind in ('keyDown', 'keyUp'):
    browser.call(
        'Input.dispatchKeyEvent', type=kind, key='ArrowLeft',
        windowsVirtualKeyCode=37,
    )  # fmt: skip
  browser.wait(f'{cursors}.every((x) => x == 1.5)')
  role = "document.activeElement.getAttribute('{}')"
  browser.wait(f"{role.format('aria-valuenow')} == '1.50'")
  assert browser.js(role.format('role')) == 'slider'

  # A click at three quarters of the axis.
  box = browser.js("""(() => {
    const plot = document.querySelector('.plot[data-video]');
    plot.scrollIntoView({block: 'center'});
    const {left, top, width, height} =
        plot.querySelector('.nsewdrag').getBoundingClientRect();
    const [low, high] = plot.layout.xaxis.range;
    return [left + width * 0.75, top + height / 2, low + (high - low) * 0.75];
  })()""")
  for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
    browser.call(
        'Input.dispatchMouseEvent', type=kind, x=box[0], y=box[1],
        button='none' if kind == 'mouseMoved' else 'left', clickCount=1,
    )  # fmt: skip
  time = "document.querySelector('video').currentTime"
  browser.wait(f'Math.abs({time} - {box[2]}) < 0.11')
  browser.wait(f'{cursors}.every((x) => x == {time})')
  assert browser.problems == []


def test_nothing_is_wider_than_the_window(browser, written):
  for width, scheme in ((1280, 'dark'), (390, 'light')):
    browser.show_as(width, 800, scheme=scheme)
    browser.open('about:blank')
    browser.open(written.as_uri())
    browser.wait(READY, 60)
    assert browser.js('document.documentElement.scrollWidth') == width
    wide = browser.js(f"""[...document.querySelectorAll(
        'main *:not(.scroll *):not(svg *)')].filter(
        (x) => x.getBoundingClientRect().right > {width}).length""")
    assert wide == 0
    paper = browser.js('getComputedStyle(document.body).backgroundColor')
    is_dark = sum(map(int, paper[4:-1].split(','))) < 150
    assert is_dark == (scheme == 'dark')
  assert browser.problems == []


def test_confusion_and_ccc_are_those_of_numpy(made, figures):
  for name, rows in zip(('run', 'other.parquet'), made[1], strict=True):
    counts = np.zeros([8, 8], int)
    pairs = zip(
        rows.target_expression[rows.expr],
        rows.expression[rows.expr].argmax(axis=-1),
        strict=True,
    )
    for pair in pairs:
      counts[pair] += 1
    found = figures[f'Confusion of expressions: {name}']
    assert found['data'][0]['text'] == counts.tolist()

    pred, target = rows.valence[rows.va], rows.target_valence[rows.va]
    covariance = np.cov(pred, target, bias=True)
    shift = (pred.mean() - target.mean()) ** 2
    ccc = 2 * covariance[0, 1] / (np.trace(covariance) + shift)
    title = f'Valence, CCC {ccc:.3f}: {name}'
    assert (
        f'CCC {ccc:.4f} of {rows.va.sum():,} rows' in figures[title]['caption']
    )
    density = np.array(figures[title]['data'][0]['text'])
    assert density.sum() == rows.va.sum()
    upper = density[20:, :20].sum()  # prediction from 0, label below 0
    assert upper == np.sum((pred >= 0) & (target < 0))


def test_the_table_has_valid_counts_and_intervals(made, written):
  text = written.read_text()
  for rows in made[1]:
    scores = rows.scores()
    for name in ('P_MTL', 'VA', 'EXPR', 'AU'):
      assert f'<td>{scores[name]:.4f} [' in text
    assert f'<td>{int(scores["n_expr"]):,}</td>' in text


def test_bars_and_thresholds_of_aus(made, figures):
  rows = made[1][0]
  at_half, best = figures['F1 of action units: run']['data']
  for i, name in enumerate(labels.AU_NAMES):
    known = rows.au_mask[:, i]
    true = rows.target_au[known, i] == 1

    def f1(threshold, i=i, known=known, true=true):
      pred = rows.au[known, i] >= threshold
      return 2 * np.sum(pred & true) / (pred.sum() + true.sum())

    assert at_half['x'][i] == name
    assert at_half['y'][i] == pytest.approx(f1(0.5))
    largest = max(map(f1, rows.au[known, i]))
    assert best['y'][i] == pytest.approx(largest)


def test_reliability_of_a_known_case():
  prob = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
  true = np.array([False, True, True, True, False])
  mean, share, count = reliability.bins(prob, true)
  assert mean.tolist() == pytest.approx([0.05, 2.9 / 3])
  assert share.tolist() == pytest.approx([0.5, 2 / 3])
  assert count.tolist() == [2, 3]


def test_timelines_have_the_values_of_the_table(made, figures):
  table = made[2]
  valence, arousal, *areas, heat = figures['Face 0 of clip']['data']
  at = table['face_id'] == 0
  assert values(valence['x']).tolist() == table['timestamp'][at].tolist()
  for trace, name in ((valence, 'valence'), (arousal, 'arousal')):
    expected = table[name][at].astype(np.float32)
    assert values(trace['y']).tolist() == expected.tolist()
  assert [trace['name'] for trace in areas] == list(labels.EXPRESSIONS)
  units = np.stack([table[name][at] for name in labels.AU_NAMES])
  assert values(heat['z']) == pytest.approx(units)
  # Face 1 is away for 2 seconds: its line has a gap.
  gap = values(figures['Face 1 of clip']['data'][0]['y'])
  assert np.flatnonzero(np.isnan(gap)).tolist() == [10, 11]


def test_curves_are_thinned_to_means(figures):
  found = figures['Training loss']
  steps, losses = (values(found['data'][0][key]) for key in 'xy')
  assert (len(steps), steps[0]) == (667, 2)
  assert losses[0] == pytest.approx(np.mean([5, 5 / 2, 5 / 3]))
  assert 'means of up to 3 log lines' in found['caption']
  matrix = np.array([[1, np.nan], [3, np.nan], [5, 4]])
  means = drawing.thinned(matrix, 2)
  np.testing.assert_array_equal(means, [[2, np.nan], [5, 4]])


def test_the_worst_frames_are_those_with_the_largest_error(made):
  rows = made[1][0]
  error = pictures.frame_errors(rows)
  assert np.nanmin(error) >= 0
  assert np.nanmax(error) <= 1
  none = ~(rows.va | rows.expr | rows.au_mask.any(axis=-1))
  assert np.array_equal(np.isnan(error), none)
  only = np.flatnonzero(rows.expr & ~rows.va & ~rows.au_mask[:, 0])[0]
  prob = rows.expression[only, rows.target_expression[only]]
  assert error[only] == pytest.approx(1 - prob)
  chosen = pictures.worst_rows(rows)
  assert len(chosen) == 12  # three of each video
  assert chosen[0] == np.nanargmax(error)


def test_a_long_video_is_next_to_the_page(made, tmp_path, monkeypatch):
  folder, _, _ = made
  monkeypatch.setattr(clip_videos, '_EMBEDDED', 100)
  shutil.copytree(folder / 'clips', tmp_path / 'clips')
  (clip,) = inputs.read([tmp_path / 'clips']).clips
  found = clip_videos.Videos(tmp_path / 'page.html').add(clip, 'video0')
  assert isinstance(found, parts.Video)
  assert found.source == 'page.clip.webm'
  copied = (tmp_path / found.source).read_bytes()
  assert copied == (folder / 'clips' / 'source.webm').read_bytes()


def test_wrong_inputs_are_one_line(tmp_path, monkeypatch):
  (tmp_path / 'x.csv').write_text('a,b\n1,2\n')
  (tmp_path / 'empty').mkdir()
  for name, text in {
      'x.csv': 'it has no column',
      'empty': 'has no config.json of a run',
      'absent': 'there is no such path',
  }.items():
    with pytest.raises(inputs.errors.InputError, match=text):
      inputs.read([tmp_path / name])
  monkeypatch.setattr(page, 'MAX_BYTES', 1000)
  empty = inputs.Inputs(notes=['x'])
  with pytest.raises(inputs.errors.InputError, match='MB; give fewer paths'):
    page.write(tmp_path / 'page.html', empty, 'x')
  assert not (tmp_path / 'page.html').exists()
