'use strict';

const dark = matchMedia('(prefers-color-scheme: dark)');
const narrow = matchMedia('(max-width: 760px)');
const plots = [...document.querySelectorAll('.plot')];
let printing = false;

// The colours of text and grid; those of the data are the same in all schemes.
function colours(layout) {
  const isDark = dark.matches && !printing;
  const [text, grid] = isDark ? ['#e4e8ee', '#343b45'] : ['#1c2128', '#d9dde3'];
  const weak = isDark ? '#a3acb8' : '#6a737d';
  const found = {'font.color': text, 'modebar.color': weak, 'modebar.activecolor': text};
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) {
      found[`${key}.gridcolor`] = grid;
      found[`${key}.linecolor`] = grid;
      found[`${key}.zerolinecolor`] = grid;
    }
  }
  return found;
}

function assign(layout, values) {
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split('.');
    const last = keys.pop();
    let place = layout;
    for (const key of keys) place = place[key] ??= {};
    place[last] = value;
  }
}

async function draw(plot) {
  const content = document.getElementById(`${plot.id}-data`).textContent;
  const {data, layout} = JSON.parse(content);
  layout.xaxis ??= {};
  layout.yaxis ??= {};
  assign(layout, {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    'font.family': 'system-ui, sans-serif', 'font.size': 12,
    'modebar.bgcolor': 'rgba(0,0,0,0)',
    ...colours(layout),
  });
  if (narrow.matches) {
    // A finger scrolls the page. Long legends need more lines.
    layout.dragmode = false;
    const entries = data.filter((trace) => trace.name && trace.showlegend !== false);
    if (layout.showlegend && entries.length > 4) {
      const longest = Math.max(...entries.map((trace) => trace.name.length));
      assign(layout, {
        'legend.entrywidth': longest > 10 ? 0.5 : 0.33,
        'legend.entrywidthmode': 'fraction', 'legend.font': {size: 10},
      });
      plot.style.height = `${parseInt(plot.style.height) + 10 * entries.length}px`;
    }
  }
  await Plotly.newPlot(plot, data, layout, {
    responsive: true, displaylogo: false,
    showSendToCloud: false,  // its button would send the data to a server
    displayModeBar: narrow.matches ? false : 'hover',
    modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
  });
}

const recolour = () => plots.map((plot) => Plotly.relayout(plot, colours(plot.layout)));

// Ties a video to the timelines that name it.
function follow(video) {
  const own = plots.filter((plot) => plot.dataset.video === video.id);
  let busy = false;

  async function mark() {
    if (busy) return;
    busy = true;
    let time;
    do {
      time = video.currentTime;
      await Promise.all(own.map((plot) => Plotly.relayout(
          plot, {'shapes[0].x0': time, 'shapes[0].x1': time})));
    } while (time !== video.currentTime && video.paused);
    busy = false;
    for (const plot of own) {
      plot.setAttribute('aria-valuenow', time.toFixed(2));
      plot.setAttribute('aria-valuetext', `${time.toFixed(1)} seconds`);
    }
  }

  function seek(time) {
    const end = Number.isFinite(video.duration) ? video.duration : Infinity;
    video.currentTime = Math.min(Math.max(time, 0), end);
  }

  function press(event) {
    const step = event.shiftKey ? 0.1 : 1;
    const actions = {
      ArrowLeft: () => seek(video.currentTime - step),
      ArrowRight: () => seek(video.currentTime + step),
      Home: () => seek(0),
      End: () => seek(video.duration),
      ' ': () => video.paused ? video.play() : video.pause(),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  function run() {
    mark();
    if (!video.paused) requestAnimationFrame(run);
  }

  for (const plot of own) {
    plot.setAttribute('role', 'slider');
    plot.setAttribute('aria-valuemin', '0');
    plot.on('plotly_click', (event) => seek(event.points[0].x));
    plot.addEventListener('keydown', press);
  }
  const limit = () => own.forEach(
      (plot) => plot.setAttribute('aria-valuemax', video.duration.toFixed(2)));
  if (video.readyState) limit(); else video.addEventListener('loadedmetadata', limit);
  for (const name of ['seeking', 'seeked', 'timeupdate', 'pause']) {
    video.addEventListener(name, mark);
  }
  video.addEventListener('play', run);
  mark();
}

async function start() {
  for (const plot of plots) {
    await draw(plot);
    await new Promise((done) => setTimeout(done));  // the page stays usable
  }
  document.querySelectorAll('video').forEach(follow);
  dark.addEventListener('change', recolour);
  for (const [name, value] of [['beforeprint', true], ['afterprint', false]]) {
    addEventListener(name, () => {
      printing = value;
      recolour();
    });
  }
  document.documentElement.dataset.ready = 'yes';
}

start();
