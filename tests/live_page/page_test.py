"""The page of `live`, in a real browser with a camera that shows rendered faces."""

import csv
import fractions
import json
import pathlib
import time

import pytest

from abaw_jax.core import labels
from tests import chromium
from tests.live_page import fakes

TEXT = "element('{}').textContent"
# Percentages next to the bars.
BARS = "[...document.querySelectorAll('#{} .value')].map((x) => parseInt(x.textContent))"


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('browser')


@pytest.fixture(scope='module')
def browser(folder):
  fakes.write_camera(folder / 'camera.mjpeg')
  with chromium.start(folder / 'profile', folder / 'camera.mjpeg') as page:
    yield page


@pytest.fixture(scope='module')
def server():
  with fakes.Server().running() as found:
    yield found


@pytest.fixture
def page(browser, server):
  """Returns the page at its start; there must be no problem until the end."""
  browser.problems.clear()
  browser.requests.clear()
  browser.show_as(1280, 900)
  browser.open(server.access.address)
  yield browser
  browser.js("element('stop').click()")
  assert browser.problems == []
  origins = {
      url.partition('//')[2].partition('/')[0] for url in browser.requests
  }
  assert origins == {f'127.0.0.1:{server.port}'}


def start(page) -> None:
  """Presses Enter on the first button, as a person without a mouse does."""
  page.js("element('webcam').focus()")
  for kind in ('keyDown', 'keyUp'):
    page.call(
        'Input.dispatchKeyEvent', type=kind, key='Enter', text='\r',
        windowsVirtualKeyCode=13,
    )  # fmt: skip
  page.wait('state.table.length >= 20')


def test_values_arrive_in_step_with_the_picture(page, server, folder):
  start(page)
  page.wait("element('fps').textContent.length > 1")
  assert float(page.js(TEXT.format('fps'))) > 1
  assert page.js(TEXT.format('latency')).endswith(' ms')
  assert page.js(TEXT.format('model-latency')).endswith(' ms')
  assert page.js(TEXT.format('count')) == '2'
  assert page.js(TEXT.format('model-name')) == 'a model for tests </script>'

  # The picture that is shown is the one whose values are shown.
  stream = server.streams[-1]
  corner = fakes.CORNER // 2
  for _ in range(10):
    frame, level = page.js(f"""(() => {{
      const picture = element('picture'), scale = picture.width / {fakes.WIDTH};
      const point = new OffscreenCanvas(1, 1).getContext('2d');
      const [x, y] = [{corner} * scale, picture.height - {corner} * scale];
      point.drawImage(picture, x, y, 1, 1, 0, 0, 1, 1);
      return [state.rows[0].frame, point.getImageData(0, 0, 1, 1).data[0]];
    }})()""")
    image, _ = stream.pushed[frame]
    assert level == pytest.approx(int(image[-corner, corner, 0]), abs=8)
    time.sleep(0.05)

  page.js("element('stop').click()")
  shown = json.loads(page.js('JSON.stringify(state.rows)'))
  frame = shown[0]['frame']  # a later one may have been on its way
  image, _ = stream.pushed[frame]
  assert image.shape == (fakes.HEIGHT, fakes.WIDTH, 3)
  assert image.std() > 20  # faces

  last = stream.rows[2 * frame : 2 * frame + 2]
  assert shown == [pytest.approx(row, abs=1e-5) for row in last]
  for face in (0, 1):  # a chip chooses the face that the bars show
    page.js(f"document.querySelectorAll('#faces button')[{face}].click()")
    row = last[face]
    percents = [100 * row[f'expr_{name}'] for name in labels.EXPRESSIONS]
    bars = page.js(BARS.format('expression-bars'))
    assert bars == pytest.approx(percents, abs=0.51)
    strong = page.js("document.querySelector('.strong .name').textContent")
    assert strong == row['expression']
    percents = [100 * row[name] for name in labels.AU_NAMES]
    units = page.js(BARS.format('au-bars'))
    assert units == pytest.approx(percents, abs=0.51)
    ticks = page.js("document.querySelectorAll('#au-bars .strong').length")
    assert ticks == sum(row[name] >= 0.5 for name in labels.AU_NAMES)
    valence = page.js(TEXT.format('valence')).replace('\N{MINUS SIGN}', '-')
    assert float(valence) == pytest.approx(row['valence'], abs=0.0051)

  # The table of the session is saved as CSV.
  page.call(
      'Browser.setDownloadBehavior', behavior='allow', downloadPath=str(folder),
      eventsEnabled=False,
  )  # fmt: skip
  page.js("element('download').click()")
  table = list(csv.DictReader(saved_table(folder).splitlines()))
  assert tuple(table[0]) == fakes.COLUMNS
  assert len(table) == int(page.js(TEXT.format('num-rows'))) == 2 * frame + 2
  for line, row in zip(table, stream.rows, strict=False):
    assert line['expression'] == row.pop('expression')
    expected = pytest.approx(row, abs=1e-5)
    assert {name: float(line[name]) for name in row} == expected


def saved_table(folder: pathlib.Path) -> str:
  """Returns the content of the CSV file that the browser writes to a folder."""
  for _ in range(200):
    found = list(folder.glob('live_*.csv'))
    if found and found[0].stat().st_size:
      return found[0].read_text()
    time.sleep(0.05)
  raise AssertionError('no file was saved')


def test_nothing_is_wider_than_the_window(page):
  start(page)
  for width in (1280, 390):
    for scheme in ('light', 'dark'):
      page.show_as(width, 800, scheme=scheme)
      assert page.js('document.documentElement.scrollWidth') == width
      wide = page.js(f"""[...document.querySelectorAll('body *')].filter(
          (x) => x.getBoundingClientRect().right > {width}).length""")
      assert wide == 0
  paper = page.js('getComputedStyle(document.body).backgroundColor')
  assert sum(map(int, paper[4:-1].split(','))) < 150  # dark


def test_a_broken_picture_is_reported_and_the_next_ones_are_predicted(page):
  start(page)
  page.js("""sent.toBlob = (f) => {
    delete sent.toBlob;
    f(new Blob(['no JPEG']));
  }""")
  page.wait("!element('error').hidden")
  assert 'no valid JPEG' in page.js(TEXT.format('error'))
  count = page.js('state.table.length')
  page.wait(f'state.table.length > {count}')


def test_a_huge_message_ends_the_session_with_its_reason(page):
  start(page)
  page.js(f"""sent.toBlob = (f) => {{
    delete sent.toBlob;
    f(new Blob([new Uint8Array({fakes.MESSAGE_BYTES})]));
  }}""")
  page.wait("!element('error').hidden")
  assert 'a message of 262,152 bytes; at most 262,144 are read' in page.js(
      TEXT.format('error')
  )
  start(page)  # again


def test_a_second_page_waits_for_its_turn(page, server):
  client = pytest.importorskip('websockets.sync.client')
  url = server.access.address.replace('http', 'ws').replace('/?', '/session?')
  with client.connect(url) as other:
    other.recv()
    page.js("element('webcam').click()")
    page.wait("element('status').textContent.includes('busy')")
  page.wait('state.table.length > 0')


def test_a_video_is_predicted_to_its_end(page, folder, server):
  path = folder / 'clip.webm'
  times = write_video(path)
  document = page.call('DOM.getDocument')['root']['nodeId']
  node = page.call('DOM.querySelector', nodeId=document, selector='#file')
  page.call('DOM.setFileInputFiles', files=[str(path)], nodeId=node['nodeId'])
  page.wait("element('status').textContent == 'The video has ended.'")
  seen = [when for _, when in server.streams[-1].pushed]
  assert len(seen) >= len(times) // 2
  assert seen[0] == times[0] == 0
  for when in seen:
    assert min(abs(when - other) for other in times) < 0.002


def write_video(path: pathlib.Path) -> list[float]:
  """Writes a video with an uneven frame rate; returns the times of its frames."""
  av = pytest.importorskip('av')
  ticks = [0, 100, 200, 400, 500, 600, 700, 900, 1000]
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('libvpx-vp9', rate=10)
    stream.width, stream.height = fakes.WIDTH, fakes.HEIGHT
    stream.time_base = fractions.Fraction(1, 1000)
    stream.options = {'deadline': 'realtime', 'cpu-used': '8'}
    pictures = fakes.pictures(len(ticks))
    for tick, picture in zip(ticks, pictures, strict=True):
      frame = av.VideoFrame.from_ndarray(picture)
      frame.pts, frame.time_base = tick, stream.time_base
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return [tick / 1000 for tick in ticks]


def test_a_wrong_token_shows_how_to_get_in(browser, server):
  browser.open(f'http://127.0.0.1:{server.port}/?token=wrong')
  text = browser.js('document.body.innerText')
  assert 'Open the address that the terminal shows' in text
