'use strict';

// The page of `abaw-jax live`. One picture is on its way at a time: the next one is
// sent when the answer arrives, so that nothing waits in a queue.

const model = JSON.parse(document.getElementById('model').textContent);
const element = (id) => document.getElementById(id);

// Okabe and Ito's colours, which colour-blind people can tell apart.
const COLOURS = ['#56b4e9', '#e69f00', '#009e73', '#cc79a7', '#f0e442', '#d55e00'];
const AU_TITLES = {
  AU01: 'inner brow raiser', AU02: 'outer brow raiser', AU04: 'brow lowerer',
  AU06: 'cheek raiser', AU07: 'lid tightener', AU10: 'upper lip raiser',
  AU12: 'lip corner puller', AU15: 'lip corner depressor', AU23: 'lip tightener',
  AU24: 'lip pressor', AU25: 'lips part', AU26: 'jaw drop',
};
const TRAIL_SECONDS = 4;
const ERROR_MS = 4000;
const MAX_ROWS = 200000;
const JPEG_QUALITY = 0.9;
const has = (output) => model.outputs.includes(output);
const colour = (faceId) => COLOURS[state.colours.get(faceId)];
const percent = (x) => (x == null ? '–' : `${Math.round(100 * x)} %`);
const signed = (x) =>
  x == null ? '–' : (x < 0 ? '−' : '+') + Math.abs(x).toFixed(2);

// The last rows that were shown, the trails of their faces, and the table.
const state = {
  session: null, rows: [], face: null, trails: new Map(), colours: new Map(),
  answers: [], table: [],
};
// The picture on its way, and the one that is shown.
let [sent, shown] = ['canvas', 'canvas'].map((x) => document.createElement(x));

// ---------------------------------------------------------------- messages

function say(text) {
  element('status').textContent = text;
}

/** Shows an error, at least for some seconds; '' hides it. */
function complain(text) {
  state.complainedAt = performance.now();
  element('error').textContent = text;
  element('error').hidden = !text;
}

// ---------------------------------------------------------------- session

/** One connection to the model, for one webcam or video. */
class Session {
  constructor(source) {
    this.source = source;  // {name, isFile}
    this.ended = false;
    this.lastTime = -Infinity;
    this.waitMs = 300;
    this.connect();
  }

  connect() {
    if (this.ended) return;
    this.isBusy = false;
    const url = new URL('/session' + location.search, location.href);
    url.protocol = 'ws:';
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    let answered = false;
    socket.onmessage = (event) => {
      answered = true;
      if (!this.ended) this.receive(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (this.ended || this.isBusy) return;
      stop();
      complain(answered ? `The session ended: ${event.reason || 'the connection broke, see the terminal'}.`
        : 'The program refuses the connection or has ended. See the terminal, and ' +
          'open the address that it shows.');
    };
    this.socket = socket;
  }

  receive(message) {
    this.isBusy = message.type === 'busy';
    this.inFlight = false;
    if (message.type === 'ready') {
      say(`Predicting ${this.source.name}.`);
      this.start();
    } else if (message.type === 'busy') {
      say('The model is busy with another page. This page waits for its turn.');
      setTimeout(() => this.connect(), this.waitMs);
      this.waitMs = 2000;
    } else if (message.type === 'error') {
      complain(`A picture was not predicted: ${message.message}`);
      this.nextFrame();
    } else {
      if (performance.now() > state.complainedAt + ERROR_MS) complain('');
      show(message, performance.now() - this.sentAt);
      this.nextFrame();
    }
  }

  async start() {
    const video = element('video');
    this.startedAt = performance.now();
    if (!this.source.isFile) {
      this.nextFrame();
      return;
    }
    this.send(video.currentTime);  // the first frame, which is there already
    try {
      await video.play();
    } catch (e) {
      if (!this.ended) fail(e);
    }
  }

  /** Sends the next new frame of the video. */
  nextFrame() {
    const video = element('video');
    if (this.ended) return;
    if (this.source.isFile && video.ended) {
      stop('The video has ended.');
    } else if ('requestVideoFrameCallback' in video) {
      video.requestVideoFrameCallback((now, frame) =>
        this.send(this.source.isFile ? frame.mediaTime : (now - this.startedAt) / 1000));
    } else {
      requestAnimationFrame((now) =>
        this.send(this.source.isFile ? video.currentTime : (now - this.startedAt) / 1000));
    }
  }

  send(time) {
    const video = element('video');
    if (this.ended) return;
    if (time <= this.lastTime || !video.videoWidth) {
      this.nextFrame();
      return;
    }
    this.lastTime = time;
    const longSide = Math.max(video.videoWidth, video.videoHeight);
    const scale = Math.min(1, element('size').value / longSide);
    sent.width = Math.max(16, Math.round(video.videoWidth * scale));
    sent.height = Math.max(16, Math.round(video.videoHeight * scale));
    sent.getContext('2d').drawImage(video, 0, 0, sent.width, sent.height);
    this.sentAt = performance.now();
    this.inFlight = true;
    sent.toBlob(async (blob) => {
      const head = new DataView(new ArrayBuffer(8));
      head.setFloat64(0, time);
      const message = await new Blob([head, blob]).arrayBuffer();
      if (!this.ended && this.socket.readyState === WebSocket.OPEN) {
        this.socket.send(message);
      }
    }, 'image/jpeg', JPEG_QUALITY);
  }

  end() {
    this.ended = true;
    this.socket.close();
  }
}

function begin(source) {
  Object.assign(state, {
    rows: [], face: null, trails: new Map(), colours: new Map(), answers: [], table: [],
  });
  complain('');
  say(`Connecting ${source.name} to the model.`);
  element('empty').hidden = true;
  element('stop').disabled = false;
  element('download').disabled = true;
  element('num-rows').textContent = '0';
  state.session = new Session(source);
}

function stop(text = 'Stopped.') {
  const video = element('video');
  state.session?.end();
  state.session = null;
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (video.src) {
    URL.revokeObjectURL(video.src);
    video.removeAttribute('src');
  }
  element('stop').disabled = true;
  say(text);
}

function fail(e) {
  const video = element('video');
  const reasons = {
    NotAllowedError: 'The browser does not allow the camera. Allow it for this page.',
    NotFoundError: 'There is no camera.',
    NotReadableError: 'The camera is used by another program.',
    NotSupportedError: 'This browser cannot play the video. Convert it to WebM or MP4, ' +
      'or use abaw-jax predict.',
  };
  stop();
  complain(reasons[e.name] || `${e.name}: ${e.message}`);
}

async function startWebcam() {
  stop('Waiting for the camera.');
  element('webcam').disabled = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    const video = element('video');
    video.srcObject = stream;
    stream.getVideoTracks()[0].onended = () => stop('The camera was disconnected.');
    await video.play();
    begin({ name: 'the webcam', isFile: false });
  } catch (e) {
    fail(e);
  } finally {
    element('webcam').disabled = false;
  }
}

function startFile(file) {
  const video = element('video');
  stop();
  video.src = URL.createObjectURL(file);
  video.onloadeddata = () => begin({ name: file.name, isFile: true });
  video.onerror = () => {
    if (video.src) fail({ name: 'NotSupportedError' });
  };
  video.onended = () => {
    if (!state.session?.inFlight) state.session?.nextFrame();
  };
}

// ---------------------------------------------------------------- an answer

/** Shows the picture that was sent and its rows, all in one step. */
function show(message, roundTripMs) {
  const faces = message.rows.filter((row) => row.success);
  const now = performance.now();
  [sent, shown] = [shown, sent];
  state.rows = faces;
  state.picture = message;
  state.answers = [...state.answers.filter((t) => t > now - 2000), now];
  if (!faces.some((row) => row.face_id === state.face)) {
    state.face = faces.length ? faces[0].face_id : state.face;
  }
  keep(message.rows);
  for (const row of faces) {
    if (!state.trails.has(row.face_id)) state.trails.set(row.face_id, []);
    state.trails.get(row.face_id).push([row.timestamp, row.valence, row.arousal]);
  }
  const time = message.rows.length ? message.rows[0].timestamp : 0;
  for (const [id, trail] of state.trails) {
    while (trail.length && trail[0][0] < time - TRAIL_SECONDS) trail.shift();
    if (!trail.length) state.trails.delete(id);
  }
  paint();
  const span = (now - state.answers[0]) / 1000;
  element('fps').textContent =
    span > 0.2 ? ((state.answers.length - 1) / span).toFixed(1) : '–';
  element('latency').textContent = `${Math.round(roundTripMs)} ms`;
  element('model-latency').textContent = `${Math.round(message.latency_ms)} ms`;
  element('count').textContent = faces.length;
  drawPicture();
  showFace();
}

/** Gives each new face a colour that other faces of the last seconds do not have. */
function paint() {
  for (const id of state.colours.keys()) {
    if (!state.trails.has(id)) state.colours.delete(id);
  }
  const free = (used) => COLOURS.findIndex((_, i) => !used.includes(i));
  for (const { face_id: id } of state.rows) {
    if (state.colours.has(id)) continue;
    let index = free([...state.colours.values()]);
    if (index < 0) index = free(state.rows.map((row) => state.colours.get(row.face_id)));
    state.colours.set(id, index < 0 ? id % COLOURS.length : index);
  }
}

function keep(rows) {
  for (const row of rows) {
    if (state.table.length >= MAX_ROWS) {
      complain(`The table is full with ${MAX_ROWS} rows. Download it and start again.`);
      return;
    }
    state.table.push(model.columns.map((name) => row[name]));
  }
  element('num-rows').textContent = state.table.length.toLocaleString('en');
  element('download').disabled = !state.table.length;
}

/** Returns a 2D context for drawing in CSS pixels, on an empty canvas. */
function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  return { context, width, height };
}

function drawPicture() {
  const frame = element('frame');
  frame.style.aspectRatio = `${shown.width} / ${shown.height}`;
  frame.style.maxWidth = `${65 * shown.width / shown.height}vh`;  // upright videos
  const { context, width, height } = sharp(element('picture'));
  context.drawImage(shown, 0, 0, width, height);
  const scaleX = width / state.picture.width;
  const scaleY = height / state.picture.height;
  context.font = '600 13px system-ui, sans-serif';
  for (const row of state.rows) {
    const [left, top] = [row.left * scaleX, row.top * scaleY];
    const box = [left, top, (row.right - row.left) * scaleX, (row.bottom - row.top) * scaleY];
    const isChosen = row.face_id === state.face;
    context.lineJoin = 'round';
    for (const [style, extra] of [['#000c', 2], [colour(row.face_id), 0]]) {
      context.strokeStyle = style;
      context.lineWidth = (isChosen ? 3 : 1.5) + extra;
      context.strokeRect(...box);
    }
    const text = `Face ${row.face_id}` + (row.expression ? ` · ${row.expression}` : '');
    const wide = context.measureText(text).width + 12;
    const x = Math.max(0, Math.min(left - 1, width - wide));
    const y = top >= 22 ? top - 22 : Math.min(top + box[3] + 2, height - 20);
    context.fillStyle = colour(row.face_id);
    context.fillRect(x, y, wide, 20);
    context.fillStyle = '#111';
    context.fillText(text, x + 6, y + 14.5);
  }
}

// ---------------------------------------------------------------- values of a face

function showFace() {
  const row = state.rows.find((x) => x.face_id === state.face) || {};
  showChips();
  if (has('valence')) {
    element('valence').textContent = signed(row.valence);
    element('arousal').textContent = signed(row.arousal);
    drawPlane();
  }
  if (has('expression')) {
    const values = model.expressions.map((name) => row[`expr_${name}`]);
    const best = Math.max(...values);
    setBars('expression-bars', values, (x) => x === best);
  }
  if (has('au')) {
    setBars('au-bars', model.aus.map((name) => row[name]), (x) => x >= 0.5);
  }
}

function showChips() {
  const ids = state.rows.map((row) => row.face_id).sort((a, b) => a - b);
  const chips = element('faces');
  if (chips.dataset.ids !== String(ids)) {
    const focused = document.activeElement?.dataset?.id;
    chips.dataset.ids = String(ids);
    chips.replaceChildren(...ids.map((id) => {
      const chip = document.createElement('button');
      const dot = document.createElement('i');
      chip.type = 'button';
      chip.dataset.id = id;
      dot.style.background = colour(id);
      chip.append(dot, `Face ${id}`);
      chip.onclick = () => choose(id);
      return chip;
    }));
    chips.querySelector(`[data-id="${focused}"]`)?.focus();
  }
  for (const chip of chips.children) {
    chip.setAttribute('aria-pressed', Number(chip.dataset.id) === state.face);
  }
}

function choose(id) {
  state.face = id;
  drawPicture();
  showFace();
}

function makeBars(id, names, titles = {}) {
  element(id).replaceChildren(...names.map((name) => {
    const bar = document.createElement('div');
    bar.className = 'bar';
    bar.innerHTML = '<span class="name"></span>' +
      '<div class="track" role="meter" aria-valuemin="0" aria-valuemax="100"><div></div></div>' +
      '<span class="value">–</span>';
    const label = bar.querySelector('.name');
    label.textContent = name;
    if (titles[name]) {
      const small = document.createElement('small');
      small.textContent = titles[name];
      label.append(small);
    }
    bar.title = label.textContent;
    bar.querySelector('.track').setAttribute('aria-label', name);
    return bar;
  }));
}

function setBars(id, values, isStrong) {
  values.forEach((value, i) => {
    const bar = element(id).children[i];
    bar.classList.toggle('strong', value != null && isStrong(value));
    bar.querySelector('.track div').style.width = `${100 * (value ?? 0)}%`;
    bar.querySelector('.track').setAttribute('aria-valuenow', Math.round(100 * (value ?? 0)));
    bar.querySelector('.value').textContent = percent(value);
  });
}

function drawPlane() {
  const { context, width: size } = sharp(element('plane'));
  if (!size) return;  // for a moment, while the window changes
  const styles = getComputedStyle(document.documentElement);
  const [line, soft, ink, track] = ['--line', '--soft', '--ink', '--track'].map(
    (name) => styles.getPropertyValue(name));
  const [middle, radius] = [size / 2, size / 2 - 18];
  const x = (valence) => middle + radius * Math.max(-1, Math.min(1, valence));
  const y = (arousal) => middle - radius * Math.max(-1, Math.min(1, arousal));
  context.fillStyle = track;
  context.beginPath();
  context.arc(middle, middle, radius, 0, 2 * Math.PI);
  context.fill();
  context.strokeStyle = line;
  context.beginPath();
  for (const [a, b] of [[-1, 0], [0, -1]]) {
    context.moveTo(x(a), y(b));
    context.lineTo(x(-a), y(-b));
  }
  context.stroke();
  context.fillStyle = soft;
  context.font = '12px system-ui, sans-serif';
  context.textAlign = 'center';
  context.fillText('active', middle, 12);
  context.fillText('passive', middle, size - 5);
  for (const [text, at, turn] of [['negative', 12, -1], ['positive', size - 12, 1]]) {
    context.save();
    context.translate(at, middle);
    context.rotate(turn * Math.PI / 2);
    context.fillText(text, 0, 4);
    context.restore();
  }
  for (const row of state.rows) {
    const isChosen = row.face_id === state.face;
    const trail = state.trails.get(row.face_id) || [];
    context.strokeStyle = context.fillStyle = colour(row.face_id);
    context.lineWidth = isChosen ? 2.5 : 1.2;
    for (let i = 1; i < trail.length; i++) {
      context.globalAlpha = 0.15 + 0.85 * (i / trail.length);
      context.beginPath();
      context.moveTo(x(trail[i - 1][1]), y(trail[i - 1][2]));
      context.lineTo(x(trail[i][1]), y(trail[i][2]));
      context.stroke();
    }
    context.globalAlpha = 1;
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x(row.valence), y(row.arousal), isChosen ? 7 : 5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

// ---------------------------------------------------------------- table

/** Returns the table as CSV (RFC 4180). */
function toCsv() {
  const cell = (x) => {
    const text = x == null ? '' : String(x);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [model.columns, ...state.table].map((row) => row.map(cell).join(','));
  return lines.join('\n') + '\n';
}

function download() {
  const link = document.createElement('a');
  const time = new Date().toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-');
  link.href = URL.createObjectURL(new Blob([toCsv()], { type: 'text/csv' }));
  link.download = `live_${time}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---------------------------------------------------------------- start

element('model-name').textContent = model.name;
element('va').hidden = !has('valence');
element('expression').hidden = !has('expression');
element('au').hidden = !has('au');
makeBars('expression-bars', model.expressions);
makeBars('au-bars', model.aus, AU_TITLES);
if (has('valence')) drawPlane();
element('webcam').onclick = startWebcam;
element('open').onclick = () => element('file').click();
element('file').onchange = (event) => {
  const [file] = event.target.files;
  if (file) startFile(file);
  event.target.value = '';  // the same file can be chosen again
};
element('stop').onclick = () => stop();
element('download').onclick = download;
element('picture').onclick = (event) => {
  if (!state.picture) return;
  const x = event.offsetX / event.target.clientWidth * state.picture.width;
  const y = event.offsetY / event.target.clientHeight * state.picture.height;
  const row = state.rows.find(
    (r) => r.left <= x && x <= r.right && r.top <= y && y <= r.bottom);
  if (row) choose(row.face_id);
};
const redraw = () => {
  if (state.picture) drawPicture();
  if (has('valence')) drawPlane();
};
addEventListener('resize', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
