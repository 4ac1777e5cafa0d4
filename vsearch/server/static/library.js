// The library view: all videos as a grid by date, their folders, and jobs.

import * as api from './api.js';
import { $, announce, count, el, failed, icon, length, size, toast } from './dom.js';
import { drawJobs } from './job-list.js';
import { drawNotices } from './notices.js';
import { go, where } from './route.js';
import { Scrubber } from './scrubber.js';
import { card, menu } from './video-card.js';
import { cells, VirtualGrid } from './virtual-grid.js';
import * as working from './working.js';

const SORTS = [['recorded', 'By date'], ['name', 'By name'], ['modified', 'Last changed'], ['duration', 'Longest']];
const SHOWN_FOLDERS = 12; // before "more"
const RELOAD_MS = 1500; // between reloads while a job adds videos
const CHECK_MS = 4000; // until missing files of a large library were counted
const FEW = 4; // videos a month: fewer are grouped by year
const LACKING = { speech: 'Without a transcript', ocr: 'Text not read' };

let hooks = {};
let about = {}; // the response of GET /library
let grid = null;
let scrubber = null;
let requestKey = ''; // the request that the grid shows
let asking = null;
let jobsKey = ''; // the progress of jobs that the grid shows
let styles = null; // promise of the style sheet

/** Show the list that the URL describes. */
export async function show(now, given) {
  hooks = given;
  styles ??= load(new URL('./library.css', import.meta.url));
  await styles;
  if (where().view !== 'library') return;
  history.scrollRestoration = 'manual';
  if (!grid) build();
  if (document.activeElement !== $('filter')) $('filter').value = now.name;
  $('sort').value = sort(now);
  working.follow(hooks).catch(failed);
  const text = JSON.stringify([now.name, sort(now), now.folder, now.lacking]);
  if (text === requestKey) return;
  const anchor = requestKey ? null : history.state?.anchor;
  const isMove = Boolean(requestKey);
  requestKey = text;
  await reload({ anchor, isMove });
}

const sort = (now) => (SORTS.some(([name]) => name === now.sort) ? now.sort : 'recorded');

const load = (url) => new Promise((resolve) => {
  const sheet = el('link', { rel: 'stylesheet', href: url.href });
  sheet.addEventListener('load', resolve);
  sheet.addEventListener('error', resolve);
  document.head.append(sheet);
});

/** Leave the view. */
export function leave() {
  history.scrollRestoration = 'auto';
  requestKey = '';
  asking?.abort();
  grid?.destroy();
  scrubber?.destroy();
  grid = scrubber = null;
  document.body.classList.remove('scrubbing');
  $('library').replaceChildren();
}

function build() {
  let timer = 0;
  const filter = el('input', { type: 'search', class: 'text', id: 'filter', placeholder: 'Filter by name', 'aria-label': 'Filter videos by name', 'data-testid': 'library-filter', oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => go({ name: filter.value.trim() }, { replace: true }), 250);
  } });
  const host = el('div', { id: 'videos', 'data-testid': 'videos' });
  $('library').replaceChildren(
    el('div', { class: 'lib-head' }, el('div', { class: 'titles' }, el('h1', { id: 'library-title', tabindex: -1 }, 'Library'), el('p', { class: 'lib-sum', id: 'library-sum', 'data-testid': 'library-sum' })),
      el('button', { type: 'button', class: 'button primary', id: 'index-open', 'data-testid': 'index-open', hidden: true, onclick: () => hooks.index() }, icon('folder'), 'Add videos')),
    el('ul', { class: 'jobs', id: 'jobs', role: 'list', 'aria-label': 'Jobs' }),
    el('div', { id: 'notices' }),
    el('div', { class: 'lib-tools' }, filter,
      el('select', { class: 'text', id: 'sort', 'aria-label': 'Order', 'data-testid': 'library-sort', onchange: (event) => go({ sort: event.target.value, name: filter.value.trim() }, { replace: true }) }, SORTS.map(([name, label]) => el('option', { value: name }, label)))),
    el('nav', { class: 'folders', id: 'folders', 'aria-label': 'Folders', 'data-testid': 'library-folders', hidden: true }),
    host,
    el('div', { class: 'state', id: 'no-videos', hidden: true }));
  grid = new VirtualGrid(host, {
    label: 'Videos',
    layout,
    load: page,
    render: (video) => card(video, { open: hooks.watch, menu: openMenu }),
    moved: () => { if (where().view === 'library' && !where().v) history.replaceState({ ...history.state, anchor: grid.anchor() }, ''); },
    arranged: () => scrubber?.update(),
    failed,
  });
  scrubber = new Scrubber(grid);
  $('library').append(scrubber.node);
  cover();
  jobsKey = '';
  drawJobs($('jobs'), hooks);
}

addEventListener('resize', cover, { passive: true });

/** Keep the headers of months below the header of the page. */
function cover() {
  const top = document.querySelector('.top');
  document.documentElement.style.setProperty('--cover', `${top ? top.offsetHeight : 0}px`);
}

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Two columns on a phone, more on wider screens; cells have a picture and two lines. */
function layout(width) {
  const isNarrow = width < 560;
  return cells(width, { least: isNarrow ? 140 : 10.5 * rem(), ratio: 1.5, below: Math.round(2.9 * rem()), gap: isNarrow ? 10 : 16, head: Math.round(2.9 * rem()), fewest: 2 });
}

const page = async (offset, limit, signal) => {
  const { name, folder, lacking } = where();
  const found = await api.get('/videos', { q: name, folder, lacking, sort: sort(where()), offset, limit }, signal);
  if (found.total !== grid?.size) later(); // the library has changed
  return found.items;
};

// --- content

/** Load the months or the size of the list, its folders and the summary. */
async function reload({ anchor, isMove = false } = {}) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const { name, folder, lacking } = where();
  const order = sort(where());
  sums().catch(failed);
  try {
    const [months, contents] = await Promise.all([
      api.get('/library/months', { q: name, folder, lacking }, signal),
      api.get('/library/folders', { folder }, signal).catch((error) => {
        if (error.status === 404) return null; // without videos since
        throw error;
      }),
    ]);
    if (!grid || signal.aborted) return;
    drawFolders(contents);
    none(months.total);
    const kept = anchor === undefined && !isMove ? grid.anchor() : anchor;
    grid.setSections(order === 'recorded' ? grouped(months) : [{ title: '', count: months.total }]);
    if (kept) grid.restore(kept);
    else if (isMove) scrollTo({ top: 0, behavior: 'instant' });
    if (isMove) announce(count(months.total, 'video'));
  } catch (error) {
    if (error.name !== 'AbortError') failed(error);
  }
}

/** Return the sections of the grid: months, or years if months have few videos. */
function grouped({ items, total }) {
  const byYear = items.length > 6 && total < FEW * items.length;
  const sections = [];
  for (const { year, month, video_count: videos } of items) {
    const title = byYear ? String(year) : new Date(year, month - 1).toLocaleDateString('en', { month: 'long', year: 'numeric' });
    const last = sections.at(-1);
    if (last?.title === title) last.count += videos;
    else sections.push({ title, year, count: videos });
  }
  for (const section of sections) section.note = section.count.toLocaleString('en');
  return sections;
}

async function sums() {
  about = await hooks.changed();
  if (!$('library-sum')) return;
  $('library-sum').textContent = [count(about.video_count, 'video'), length(about.seconds), size(about.size)].filter(Boolean).join(' \u00b7 ');
  $('library-sum').title = `${about.name}, model: ${about.model ?? 'none yet'}`;
  $('index-open').hidden = !about.permissions?.index;
  steady(() => drawNotices($('notices'), about, { transcribe, show: (lacking) => go({ lacking, name: '', folder: '' }), jobs: working.jobs() }));
  none(grid?.size ?? 0);
  if (about.files_checked === false) setTimeout(() => { if (grid) sums().catch(failed); }, CHECK_MS);
}

function none(total) {
  const { name, folder, lacking } = where();
  const isFiltered = name || folder || lacking;
  $('no-videos').hidden = total > 0;
  if (total) return;
  $('no-videos').replaceChildren(...[icon('film'), el('h2', {}, isFiltered ? 'No such video' : 'No videos yet'),
    el('p', {}, isFiltered ? 'No video of the library matches.' : about.permissions?.index ? 'Add a folder to search its videos. Everything is processed on the server.' : 'This server has no folders that may be added from this page; its administrator can choose some.'),
    isFiltered ? el('p', { class: 'row' }, el('button', { type: 'button', class: 'button', onclick: () => go({ name: '', folder: '', lacking: '' }) }, 'Show all videos'))
      : about.permissions?.index && el('p', { class: 'row' }, el('button', { type: 'button', class: 'button primary', onclick: () => hooks.index() }, icon('folder'), 'Add videos'))].filter(Boolean));
}

/** Change what is above the grid without moving the videos that are read. */
function steady(change) {
  const isRead = Boolean(grid?.anchor());
  const before = grid?.host.getBoundingClientRect().top;
  change();
  if (isRead) scrollBy({ top: grid.host.getBoundingClientRect().top - before, behavior: 'instant' });
}

/** Reload soon, e.g. for new videos, but not too often. */
function later() {
  if (later.timer) return;
  later.timer = setTimeout(() => {
    later.timer = 0;
    if (grid) reload();
  }, RELOAD_MS);
}

document.addEventListener('vsearch:jobs', () => {
  if (!grid) return;
  steady(() => drawJobs($('jobs'), hooks));
  const key = JSON.stringify(working.jobs().filter((job) => job.kind !== 'export').map((job) => [job.job_id, working.ended(job), job.counts]));
  if (jobsKey && key !== jobsKey) later();
  jobsKey = key;
});

// --- folders

function drawFolders(contents) {
  const { lacking } = where();
  const nav = $('folders');
  const isDeep = contents?.parents.length > 0;
  nav.hidden = !isDeep && !lacking && !contents?.subfolders.length;
  if (nav.hidden) { nav.replaceChildren(); return; }
  const trail = isDeep ? [...contents.parents, contents] : contents ? [contents] : [];
  const crumb = (folder, at) => el('li', {}, at === trail.length - 1
    ? el('span', { 'aria-current': 'page' }, at ? folder.name : 'All folders')
    : el('button', { type: 'button', class: 'quiet', title: folder.path, onclick: () => go({ folder: at ? folder.path : '' }) }, at ? folder.name : 'All folders'), at < trail.length - 1 && icon('chevron'));
  const below = contents?.subfolders ?? [];
  const hidden = below.length > SHOWN_FOLDERS + 2 ? below.length - SHOWN_FOLDERS : 0;
  const chips = below.map((folder, at) => el('li', { hidden: hidden > 0 && at >= SHOWN_FOLDERS }, el('button', { type: 'button', class: 'folder', title: folder.path, 'data-testid': 'library-folder', onclick: () => go({ folder: folder.path }) }, icon('folder'), el('span', { class: 'name' }, folder.name), el('span', { class: 'soft' }, folder.video_count.toLocaleString('en')))));
  const more = hidden > 0 && el('li', {}, el('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', onclick: (event) => {
    const first = chips.find((one) => one.hidden);
    for (const one of chips) one.hidden = false;
    event.currentTarget.parentElement.remove();
    first.firstChild.focus();
  } }, `${hidden} more`));
  nav.replaceChildren(...[
    trail.length > 0 && el('ol', { class: 'crumbs', role: 'list' }, trail.map(crumb)),
    lacking && el('p', { class: 'only' }, LACKING[lacking] ?? lacking, el('button', { type: 'button', class: 'quiet', 'data-testid': 'lacking-clear', onclick: () => go({ lacking: '' }) }, 'Show all')),
    below.length > 0 && el('ul', { class: 'subfolders', role: 'list', 'aria-label': 'Subfolders' }, chips, more),
  ].filter(Boolean));
}

// --- actions on a video

function openMenu(video, button) {
  const can = about.permissions ?? {};
  menu(button, video.name, [
    ['search', 'Search inside', () => hooks.inside(video), 'search-inside'],
    can.transcribe && video.lacks_speech && !video.missing && ['speech', 'Transcribe speech', () => transcribe('speech', video), 'video-transcribe'],
    can.ocr && video.lacks_ocr && !video.missing && ['screen', 'Read text on the screen', () => transcribe('ocr', video), 'video-ocr'],
    ['folder', 'Show its folder', () => go({ folder: parent(video.path), name: '', lacking: '' }), 'video-folder'],
    ['trash', 'Remove from the library\u2026', () => confirmRemoval(video, button), 'video-remove'],
  ]);
}

/** Return the path of the folder of a file, as the server lists it. */
const parent = (path) => path.replace(/[/\\][^/\\]*$/, '');

/** Start a job that reads speech or text of one video, or of all that lack it. */
async function transcribe(source, video = null) {
  try {
    working.add(await api.post('/transcriptions', { source, video_ids: video ? [video.video_id] : null }));
    working.follow(hooks);
    toast(source === 'ocr' ? 'Reading the text on the screen' : 'Transcribing', undefined);
    $('jobs')?.scrollIntoView({ block: 'nearest' });
    sums().catch(failed);
  } catch (error) { failed(error); }
}

function confirmRemoval(video, button) {
  const dialog = $('confirm');
  dialog.replaceChildren(el('h2', { id: 'confirm-title' }, 'Remove this video?'), el('p', {}, `${video.name} will be removed from the library, with its tags and ratings. The file is kept.`),
    el('p', { class: 'ends' }, el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Keep'),
      el('button', { type: 'button', class: 'button danger', 'data-testid': 'confirm-yes', onclick: async () => {
        const index = Number(button.closest('.vg-cell')?.dataset.index ?? 0);
        try {
          await api.remove(`/videos/${video.video_id}`);
          toast('Removed');
          dialog.close();
          await reload();
          grid?.focus(Math.min(index, grid.size - 1));
        } catch (error) {
          dialog.close();
          failed(error);
        }
      } }, 'Remove')));
  dialog.showModal();
}
