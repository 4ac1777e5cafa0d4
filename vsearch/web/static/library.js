// The library: which videos there are, what state they are in, and what is being indexed.

import * as api from './api.js';
import { $, clock, count, el, failed, icon, length, size, toast, tool } from './dom.js';
import { go, link, where } from './route.js';
import * as working from './working.js';

const PAGE = 60; // videos that are asked for at once
const SORTS = [['name', 'By name'], ['recorded', 'Newest'], ['modified', 'Last changed'], ['duration', 'Longest']];
const JOBS = 2; // that have ended, and are still shown
const EXPORTS = 20;

let hooks = {};
let asked = ''; // what the list shows
let got = 0; // videos of the list so far
let total = 0;
let asking = null;
let watcher = null; // sees the end of the list come

/** Show the library that the address names. */
export async function show(now, given) {
  hooks = given;
  if (!$('videos')) build();
  if (document.activeElement !== $('filter')) $('filter').value = now.name;
  $('sort').value = SORTS.some(([name]) => name === now.sort) ? now.sort : 'name';
  working.follow(hooks).catch(failed);
  const text = JSON.stringify([now.name, now.sort]);
  if (text !== asked) await anew(text);
}

/** The view is left: nothing is followed unless something runs. */
export function leave() {
  asked = '';
  asking?.abort();
  watcher?.disconnect();
  $('library').replaceChildren();
}

function build() {
  let timer = 0;
  const filter = el('input', { type: 'search', class: 'text', id: 'filter', placeholder: 'Name or part of it', 'aria-label': 'Videos by name', 'data-testid': 'library-filter', oninput: () => {
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

/** New videos came: show them soon, and not too often. */
function later() {
  clearTimeout(later.timer);
  later.timer = setTimeout(() => { if ($('videos')) anew(asked); }, 1200);
}

async function anew(text) {
  asked = text;
  got = 0;
  total = Infinity;
  sums().catch(failed);
  await more(true);
}

async function sums() {
  const about = await hooks.changed();
  if (!$('library-sum')) return;
  const words = (about.words ?? []).filter((one) => one.videos).map((one) => `${one.source} of ${one.videos}`).join(', ');
  $('library-sum').textContent = [count(about.videos, 'video'), length(about.seconds), count(about.segments, 'segment'), size(about.size), words].filter(Boolean).join(' \u00b7 ');
  $('library-sum').title = `${about.name}, seen by ${about.model ?? 'no model yet'}`;
  $('index-open').hidden = !about.may?.index;
}

async function more(first = false) {
  if (!first && (got >= total || asking)) return;
  if (first) asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { name, sort } = where();
  try {
    const told = await api.get('/videos', { q: name, sort, offset: got, limit: PAGE }, signal);
    if (!$('videos')) return;
    const rows = told.items.map(row);
    if (first) $('videos').replaceChildren(...rows);
    else $('videos').append(...rows);
    got += told.items.length;
    total = told.items.length ? told.total : got;
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
    el('p', {}, name ? 'No name has this in it.' : 'Index a folder: every video in it is looked at once, on this machine, and can then be searched.'));
}

function row(video) {
  const flags = [
    video.missing && ['bad', 'missing', 'The file is not where it was indexed'],
    video.note && ['', video.note, ''],
    video.keyframes && ['', 'key frames only', 'Indexed fast; index again without this to fill it in'],
    video.playback === 'none' && ['', 'does not play here', ''],
  ].filter(Boolean);
  const date = new Date(video.recorded ?? (video.modified > 1e12 ? video.modified / 1e6 : video.modified * 1000));
  const facts = [Number.isNaN(date.getTime()) ? '' : date.toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' }), `${video.width} \u00d7 ${video.height}`, size(video.size)];
  const picture = el('img', { class: 'still', src: api.still(video.id, Math.min(video.duration / 3, 20), 320), alt: '', loading: 'lazy', decoding: 'async' });
  picture.addEventListener('error', () => picture.replaceWith(el('span', { class: 'still missing' }, icon('film'))));
  const node = el('li', { class: video.missing ? 'video gone' : 'video', 'data-testid': 'video', data: { video: video.id } },
    el('a', { class: 'open', href: link({ ...where(), v: video.id, t: 0 }), 'aria-label': `Play ${video.name}, ${clock(video.duration)}`, onclick: (event) => { if (!event.metaKey && !event.ctrlKey) { event.preventDefault(); hooks.watch(video); } } }, picture, el('span', { class: 'badge' }, clock(video.duration))),
    el('div', {}, el('h2', { class: 'name' }, video.name), el('p', { class: 'soft path', title: video.path }, video.path), el('p', { class: 'soft' }, facts.filter(Boolean).join(' \u00b7 ')),
      flags.length > 0 && el('p', { class: 'states' }, flags.map(([kind, text, title]) => el('span', { class: `flag ${kind}`, title }, text)))),
    el('div', { class: 'acts' }, tool('search', `Search inside ${video.name}`, () => hooks.inside(video), { 'data-testid': 'search-inside' }), tool('trash', `Forget ${video.name}`, () => forget(video, node), { 'data-testid': 'video-remove' })));
  return node;
}

function forget(video, node) {
  const dialog = $('confirm');
  dialog.replaceChildren(el('h2', { id: 'confirm-title' }, 'Forget this video?'), el('p', {}, `${video.name} will not be found any more. The file stays where it is.`),
    el('p', { class: 'ends' }, el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Keep'),
      el('button', { type: 'button', class: 'button danger', 'data-testid': 'confirm-yes', onclick: async () => {
        try {
          await api.remove(`/videos/${video.id}`);
          node.remove();
          got -= 1;
          total -= 1;
          toast('Forgotten');
          sums();
          none(where().name);
        } catch (error) { failed(error); }
        dialog.close();
      } }, 'Forget')));
  dialog.showModal();
}
