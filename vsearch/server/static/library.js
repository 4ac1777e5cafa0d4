// The library view: videos and jobs.

import * as api from './api.js';
import { $, clock, count, el, failed, icon, length, size, toast, tool } from './dom.js';
import { go, link, where } from './route.js';
import * as working from './working.js';

const PAGE = 60; // videos per request
const SORTS = [['name', 'By name'], ['recorded', 'Newest'], ['modified', 'Last changed'], ['duration', 'Longest']];
const JOBS = 2; // finished index jobs shown
const EXPORTS = 20;

let hooks = {};
let requestKey = ''; // the request that the list shows
let got = 0; // videos loaded so far
let total = 0;
let asking = null;
let watcher = null; // observes the end of the list

/** Show the list that the URL describes. */
export async function show(now, given) {
  hooks = given;
  if (!$('videos')) build();
  if (document.activeElement !== $('filter')) $('filter').value = now.name;
  $('sort').value = SORTS.some(([name]) => name === now.sort) ? now.sort : 'name';
  working.follow(hooks).catch(failed);
  const text = JSON.stringify([now.name, now.sort]);
  if (text !== requestKey) await reload(text);
}

/** Leave the view. */
export function leave() {
  requestKey = '';
  asking?.abort();
  watcher?.disconnect();
  $('library').replaceChildren();
}

function build() {
  let timer = 0;
  const filter = el('input', { type: 'search', class: 'text', id: 'filter', placeholder: 'Filter by name', 'aria-label': 'Filter videos by name', 'data-testid': 'library-filter', oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => go({ name: filter.value.trim() }, { replace: true }), 250);
  } });
  $('library').replaceChildren(
    el('div', { class: 'lib-head' }, el('h1', { id: 'library-title' }, 'Library'), el('span', { class: 'grow' }),
      el('button', { type: 'button', class: 'button primary', id: 'index-open', 'data-testid': 'index-open', hidden: true, onclick: () => hooks.index() }, icon('folder'), 'Index a folder')),
    el('p', { class: 'lib-sum', id: 'library-sum', 'data-testid': 'library-sum' }),
    el('ul', { class: 'jobs', id: 'jobs', role: 'list', 'aria-label': 'Jobs' }),
    el('div', { class: 'lib-tools' }, filter,
      el('select', { class: 'text', id: 'sort', 'aria-label': 'Order', 'data-testid': 'library-sort', onchange: (event) => go({ sort: event.target.value, name: filter.value.trim() }, { replace: true }) }, SORTS.map(([name, label]) => el('option', { value: name }, label)))),
    el('ul', { class: 'videos', id: 'videos', role: 'list', 'aria-label': 'Videos' }),
    el('div', { class: 'state', id: 'no-videos', hidden: true }),
    el('div', { id: 'end', 'aria-hidden': 'true' }));
  watcher = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); }, { rootMargin: '600px' });
  watcher.observe($('end'));
  drawJobs();
}

document.addEventListener('vsearch:jobs', () => { if ($('jobs')) drawJobs(); });

function drawJobs() {
  const unfolded = new Set([...$('jobs').querySelectorAll('details[open]')].map((one) => one.dataset.job));
  const all = working.jobs();
  const done = (kind) => all.filter((job) => job.kind === kind && working.ended(job));
  const exports = done('export').slice(0, EXPORTS);
  const shown = [...all.filter((job) => !working.ended(job)), ...done('index').slice(0, JOBS)].map(working.card);
  if (exports.length) {
    shown.push(el('li', {}, el('details', { class: 'exports', 'data-testid': 'exports', data: { job: 'exports' } }, el('summary', {}, count(exports.length, 'export')),
      el('ul', { class: 'jobs', role: 'list' }, exports.map(working.card)))));
  }
  $('jobs').hidden = !shown.length;
  $('jobs').replaceChildren(...shown);
  for (const one of $('jobs').querySelectorAll('details')) one.open = unfolded.has(one.dataset.job);
  const ended = done('index').map((job) => job.id).join();
  const counted = all.filter((job) => !working.ended(job)).map((job) => JSON.stringify(job.counts)).join();
  if ((drawJobs.done !== undefined && ended !== drawJobs.done) || counted !== drawJobs.counted) later();
  drawJobs.done = ended;
  drawJobs.counted = counted;
}

/** Reload the list soon, e.g. for new videos, but not too often. */
function later() {
  clearTimeout(later.timer);
  later.timer = setTimeout(() => { if ($('videos')) reload(requestKey); }, 1200);
}

async function reload(text) {
  requestKey = text;
  got = 0;
  total = Infinity;
  sums().catch(failed);
  await more(true);
}

async function sums() {
  const about = await hooks.changed();
  if (!$('library-sum')) return;
  const words = (about.transcript_counts ?? []).filter((one) => one.video_count).map((one) => `${one.source}: ${one.video_count}`).join(', ');
  $('library-sum').textContent = [count(about.video_count, 'video'), length(about.seconds), count(about.segment_count, 'segment'), size(about.size), words].filter(Boolean).join(' \u00b7 ');
  $('library-sum').title = `${about.name}, model: ${about.model ?? 'none yet'}`;
  $('index-open').hidden = !about.permissions?.index;
}

async function more(first = false) {
  if (!first && (got >= total || asking)) return;
  if (first) asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { name, sort } = where();
  try {
    const page = await api.get('/videos', { q: name, sort, offset: got, limit: PAGE }, signal);
    if (!$('videos')) return;
    const rows = page.items.map(row);
    if (first) $('videos').replaceChildren(...rows);
    else $('videos').append(...rows);
    got += page.items.length;
    total = page.items.length ? page.total : got;
    none(name);
  } catch (error) {
    if (error.name === 'AbortError') return;
    total = got;
    failed(error);
  } finally {
    if (!signal.aborted) asking = null;
  }
}

function none(name) {
  $('no-videos').hidden = got > 0;
  if (got) return;
  $('no-videos').replaceChildren(icon('film'), el('h2', {}, name ? 'No such video' : 'No videos yet'),
    el('p', {}, name ? 'No video name contains this.' : 'Index a folder to search its videos. Everything is processed on the server.'));
}

const GONE = { missing: 'The file was moved or deleted', offline: 'Its drive or folder is not connected' };

function row(video) {
  const flags = [
    video.missing && ['bad', video.file_status, GONE[video.file_status]],
    video.warning && ['', video.warning, ''],
    video.keyframes_only && ['', 'key frames only', 'Index again with all frames to refine'],
    video.playback === 'none' && ['', 'not playable', ''],
  ].filter(Boolean);
  const date = new Date(video.recorded_at ?? (video.mtime_ns > 1e12 ? video.mtime_ns / 1e6 : video.mtime_ns * 1000));
  const facts = [Number.isNaN(date.getTime()) ? '' : date.toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' }), `${video.width} \u00d7 ${video.height}`, size(video.size)];
  const picture = el('img', { class: 'thumbnail', src: api.thumbnail(video.id, Math.min(video.duration / 3, 20), 320), alt: '', loading: 'lazy', decoding: 'async' });
  picture.addEventListener('error', () => picture.replaceWith(el('span', { class: 'thumbnail missing' }, icon('film'))));
  const node = el('li', { class: video.missing ? 'video gone' : 'video', 'data-testid': 'video', data: { video: video.id } },
    el('a', { class: 'open', href: link({ ...where(), v: video.id, t: 0 }), 'aria-label': `Play ${video.name}, ${clock(video.duration)}`, onclick: (event) => { if (!event.metaKey && !event.ctrlKey) { event.preventDefault(); hooks.watch(video); } } }, picture, el('span', { class: 'badge' }, clock(video.duration))),
    el('div', {}, el('h2', { class: 'name' }, video.name), el('p', { class: 'soft path', title: video.path }, video.path), el('p', { class: 'soft' }, facts.filter(Boolean).join(' \u00b7 ')),
      flags.length > 0 && el('p', { class: 'states' }, flags.map(([kind, text, title]) => el('span', { class: `flag ${kind}`, title }, text)))),
    el('div', { class: 'acts' }, tool('search', `Search inside ${video.name}`, () => hooks.inside(video), { 'data-testid': 'search-inside' }), tool('trash', `Remove ${video.name}`, () => confirmRemoval(video, node), { 'data-testid': 'video-remove' })));
  return node;
}

function confirmRemoval(video, node) {
  const dialog = $('confirm');
  dialog.replaceChildren(el('h2', { id: 'confirm-title' }, 'Remove this video?'), el('p', {}, `${video.name} will be removed from the library. The file is kept.`),
    el('p', { class: 'ends' }, el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Keep'),
      el('button', { type: 'button', class: 'button danger', 'data-testid': 'confirm-yes', onclick: async () => {
        try {
          await api.remove(`/videos/${video.id}`);
          node.remove();
          got -= 1;
          total -= 1;
          toast('Removed');
          sums();
          none(where().name);
        } catch (error) { failed(error); }
        dialog.close();
      } }, 'Remove')));
  dialog.showModal();
}
