// The export dialog: format, progress and files.

import * as api from './api.js';
import { $, clock, count, el, percent, tool } from './dom.js';
import { ended, files } from './working.js';

const KINDS = [
  ['clips', 'Clips', 'One video file per moment, with sound'],
  ['supercut', 'Supercut', 'One video of all moments'],
  ['otio', 'OTIO', 'OpenTimelineIO timeline'],
  ['edl', 'EDL', 'CMX 3600 edit decision list'],
  ['fcpxml', 'FCPXML', 'Final Cut Pro timeline'],
  ['fcp7', 'FCP 7 XML', 'Premiere Pro timeline'],
  ['csv', 'CSV', 'Table of moments'],
  ['m3u', 'M3U', 'Playlist of moments'],
];
const TIMELINES = ['otio', 'edl', 'fcpxml', 'fcp7'];
const RATES = ['23.976', '24', '25', '29.97', '29.97df', '30', '50', '59.94', '59.94df', '60'];
const STORE = 'vsearch.export';
const MAX_MOMENTS = 200;

let stop = null;

/** Open the dialog for these moments. */
export function open(moments) {
  if (!moments.length) return;
  const dialog = $('export-dialog');
  const last = localStorage.getItem(STORE) ?? 'clips';
  const whole = moments.reduce((sum, one) => sum + one.end - one.start, 0);
  const state = el('div', { 'data-testid': 'export-progress', hidden: true });
  const form = el('form', { method: 'dialog', onsubmit: (event) => { event.preventDefault(); start(form, moments, state); } },
    el('div', { class: 'head' }, el('h2', { id: 'export-title' }, `Export ${count(moments.length, 'moment')}`), tool('close', 'Close', () => dialog.close())),
    el('p', {}, `${clock(whole, true)} in total, from ${count(new Set(moments.map((one) => one.video.video_id)).size, 'video')}.`),
    state,
    el('fieldset', { class: 'choices' }, el('legend', {}, 'Format'), KINDS.map(([value, title, what]) => el('label', { class: 'choice' },
      el('input', { type: 'radio', name: 'kind', value, checked: value === last, 'data-testid': `export-kind-${value}` }), el('b', {}, title), el('small', {}, what)))),
    el('label', { class: 'field' }, 'Seconds to add on both sides', el('input', { type: 'number', name: 'pad', min: 0, max: 60, step: 0.1, value: 0, inputmode: 'decimal', 'data-testid': 'export-pad' })),
    el('label', { class: 'field' }, 'Frame rate of the timeline', el('select', { name: 'rate', 'data-testid': 'export-rate' },
      el('option', { value: '' }, 'That of most videos'), RATES.map((rate) => el('option', { value: rate }, rate.replace('df', ' drop-frame'))))),
    el('label', { class: 'field' }, 'Title', el('input', { type: 'text', name: 'title', maxlength: 100, value: title(moments), 'data-testid': 'export-title' })),
    el('p', { class: 'ends' }, el('button', { type: 'submit', class: 'button primary', 'data-testid': 'export-start' }, 'Export')));
  if (!form.querySelector('[name=kind]:checked')) form.querySelector('[name=kind]').checked = true;
  const rateField = form.elements.rate.parentElement;
  const showRate = () => { rateField.hidden = !TIMELINES.includes(form.elements.kind.value); };
  form.addEventListener('change', showRate);
  showRate();
  dialog.replaceChildren(form);
  dialog.onclose = () => { stop?.(); stop = null; };
  dialog.showModal();
  form.querySelector('[name=kind]:checked').focus();
}

function title(moments) {
  const words = $('q').value.trim();
  return words && !/[:@"]/.test(words) ? words : moments.length === 1 ? moments[0].video.name.replace(/\.[^.]+$/, '') : 'vsearch';
}

async function start(form, moments, state) {
  const fields = new FormData(form);
  const kind = fields.get('kind');
  try { localStorage.setItem(STORE, kind); } catch { /* no storage */ }
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  button.textContent = 'Exporting\u2026';
  state.hidden = false;
  show(state, { state: 'waiting', progress: 0, title: 'Export', files: [] });
  try {
    const job = await api.post('/exports', {
      kind, pad: Number(fields.get('pad')) || 0, title: fields.get('title').trim() || 'vsearch',
      rate: (TIMELINES.includes(kind) && fields.get('rate')) || null,
      moments: moments.slice(0, MAX_MOMENTS).map((one) => ({ video_id: one.video.video_id, start: one.start, end: one.end })),
    });
    await watch(job, state);
  } catch (error) {
    state.replaceChildren(el('p', { class: 'wrong', role: 'alert', 'data-testid': 'export-error' }, error.detail ?? error.message));
  }
  button.disabled = false;
  button.textContent = 'Export again';
}

function watch(job, state) {
  return new Promise((resolve) => {
    const onJob = (now) => {
      show(state, now);
      if (!ended(now)) return;
      stop?.();
      stop = null;
      resolve();
    };
    show(state, job);
    if (ended(job)) { onJob(job); return; }
    const closing = api.follow(`/jobs/${job.job_id}/events`, onJob);
    const timer = setInterval(() => api.get(`/jobs/${job.job_id}`).then(onJob, () => {}), 3000); // in case events are blocked
    stop = () => { closing(); clearInterval(timer); resolve(); };
  });
}

function show(state, job) {
  const running = !ended(job);
  const bar = el('div', { class: `gauge ${job.state}`, role: 'progressbar', 'aria-label': 'Export', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(job.progress * 100) }, el('span'));
  bar.firstChild.style.inlineSize = `${Math.max(2, (job.state === 'done' ? 1 : job.progress) * 100)}%`;
  state.dataset.state = job.state;
  state.replaceChildren(...[
    bar,
    el('p', { role: 'status' }, running ? `${job.state === 'waiting' ? 'Waiting' : 'Writing'}\u2026 ${percent(job.progress)}` : job.state === 'done' ? 'Ready' : job.state === 'stopped' ? 'Stopped' : 'Export failed'),
    job.error && el('p', { class: 'wrong', role: 'alert', 'data-testid': 'export-error' }, job.error),
    ...(job.errors ?? []).map((one) => el('p', { class: 'wrong' }, `${one.name}: ${one.error}`)),
    job.files?.length > 0 && files(job),
  ].filter(Boolean));
  state.scrollIntoView({ block: 'nearest' });
}
