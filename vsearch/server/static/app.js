// The page: reads the URL, runs searches, shows results and handles keys.

import * as api from './api.js';
import * as box from './box.js';
import { $, announce, count, el, failed, icon, length, toast, tool, types } from './dom.js';
import { clip, mark, select, selection, unselect } from './moment.js';
import * as results from './results.js';
import { FIRST, go, leave, link, MOST, onChange, where } from './route.js';
import * as suggestions from './suggestions.js';

let about = null; // the response of GET /library
let search = null; // the last search response
let requestKey = ''; // the request that it belongs to
let asking = null; // AbortController of the running request

const part = (name) => import(`./${name}.js`); // loaded on demand

// --- views

function show(now, before = {}) {
  const view = now.view || (now.q ? 'found' : 'start');
  document.body.dataset.view = view;
  $('start').hidden = $('hero').hidden = view !== 'start';
  $('found').hidden = view !== 'found';
  $('library').hidden = view !== 'library';
  $('to-library').setAttribute('aria-current', view === 'library' ? 'page' : 'false');
  if (now.q !== before.q) box.set(now.q);
  document.title = view === 'library' ? 'Library – vsearch' : titled(now.q);
  $('diversify').checked = now.diversify;
  $('include-duplicates').checked = now.include_duplicates;
  if (now.q && !now.view) ask(now);
  else if (!now.q) { wrong(''); asking?.abort(); working(false); }
  showFilters(now, before);
  if (view === 'start') welcome();
  if (view === 'library' || before.view === 'library') part('library').then((library) => (where().view === 'library' ? library.show(where(), hooks) : library.leave())).catch(failed);
  play(now, before);
  if (before.view !== undefined && before.view !== now.view) scrollTo(0, 0);
}

/** Show the filter controls if the URL says so; they load on demand. */
function showFilters(now, before) {
  const shown = now.filters && !now.view;
  $('filters').hidden = !shown;
  $('filter-open').setAttribute('aria-expanded', String(shown));
  if (!shown) return;
  part('filters').then((filters) => filters.show({
    query: () => where().q,
    ask: (q) => { hooks.ask(q, where().p, true); },
    reload: !before.filters || Boolean(before.view),
    close: () => { go({ filters: false }, { replace: true }); $('filter-open').focus(); },
  })).catch(failed);
}

const titled = (q) => (q ? `${$('q').value || 'Moments like this'} – vsearch` : 'vsearch');

/** Open or close the player. Pending imports end in any order, so the state is read after them. */
function play(now, before) {
  if (!now.v && !before.v) return;
  if (!now.v) document.title = titled(now.q);
  part('player').then((player) => (where().v ? player.show(where(), ready, hooks) : player.close())).catch(failed);
}

let ready = Promise.resolve(null); // the response to the search in the URL, for the player

function ask(now) {
  const text = JSON.stringify([now.q, now.k, now.diversify, now.include_duplicates]);
  if (text === requestKey) { results.fold(now.all); return; }
  const more = search && JSON.stringify([now.q, search.k, now.diversify, now.include_duplicates]) === requestKey;
  requestKey = text;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  working(true, !more && search?.query !== now.q);
  wrong('');
  if (!more) { $('banner').hidden = true; $('nothing').hidden = true; }
  ready = api.get('/search', { q: now.q, k: now.k, diversify: now.diversify, include_duplicates: now.include_duplicates, previous_search_id: now.p }, signal).then((response) => {
    search = { ...response, k: now.k };
    suggestions.remember(now.q);
    answer(more);
    return search;
  }).catch((error) => {
    if (error.name === 'AbortError') return null;
    requestKey = '';
    refused(error);
    return null;
  }).finally(() => { if (!signal.aborted) working(false); });
}

/** Repeat the search, e.g. with new feedback. */
function again() {
  requestKey = '';
  ask(where());
}

const SHOW_MS = 150; // of waiting, before the page shows it
const SLOW_MS = 2000;

/** Show that a search runs; for another query, in place of the previous results. */
function working(on, replaces = false) {
  clearTimeout(working.timer);
  clearTimeout(working.slow);
  document.body.classList.toggle('asking', on);
  $('found').setAttribute('aria-busy', String(on));
  $('slow').hidden = true;
  $('slow').textContent = '';
  if (!on) { $('progress').hidden = true; return; }
  working.timer = setTimeout(() => {
    $('progress').hidden = false;
    if (!replaces) return;
    for (const id of ['parts', 'bar', 'hints', 'banner', 'nothing']) $(id).hidden = true;
    results.wait();
  }, SHOW_MS);
  working.slow = setTimeout(() => {
    $('slow').hidden = false;
    $('slow').textContent = /\b(?:image|clip):/.test(where().q) ? 'Still looking. The first search with a picture takes longer.' : 'Still looking…';
  }, SLOW_MS);
}

function answer(more) {
  const found = search.results.length;
  const at = found && more ? results.shown().length : 0;
  chips();
  $('bar').hidden = false;
  const took = search.took_ms < 995 ? `${Math.round(search.took_ms)} ms` : `${(search.took_ms / 1000).toFixed(1)} s`;
  $('banner').hidden = search.has_confident_match !== false || !found;
  $('banner').replaceChildren(icon('search'), el('span', {}, `Probably not in ${search.query_tokens.some((one) => one.kind === 'filter') ? 'these videos' : 'this library'}. The nearest matches:`));
  showFeedback(search.feedback_count);
  $('hints').hidden = !search.hints?.length;
  $('hints').replaceChildren(...(search.hints ?? []).map((hint) => el('li', {}, hint)));
  results.show(search, { more });
  summarize(took);
  $('nothing').hidden = found > 0;
  if (!found) none();
  announce(results.spoken());
  if (more && document.activeElement === document.body) results.focus(at);
}

function summarize(took) {
  const likely = search.results.filter((one) => !one.low_confidence);
  const counted = likely.length ? likely : search.results;
  $('summary').replaceChildren(count(counted.length, 'moment'), el('span', {}, ` in ${count(new Set(counted.map((one) => one.video.video_id)).size, 'video')}, ${results.browsed() ? 'newest first' : took}`));
  $('summary').hidden = !counted.length;
  for (const id of ['diversify', 'include-duplicates']) $(id).parentElement.hidden = results.browsed();
}

function chips() {
  const parts = search.query_tokens.filter((one) => !box.holds(one.text));
  const plain = parts.length < 2 && parts.every((one) => one.kind === 'text');
  $('parts').hidden = plain;
  $('parts').replaceChildren(...(plain ? [] : parts.map((one) => el('span', { class: `chip of-${one.kind}`, 'data-testid': 'chip' },
    el('span', { class: 'label' }, one.label || one.text),
    tool('close', `Remove ${one.label || one.text}`, () => without(one), { 'data-testid': 'chip-remove' })))));
}

/** Search without a token of the query; also drop a `then` without two sides. */
function without(gone) {
  const kept = search.query_tokens.filter((one) => one !== gone);
  const whole = kept.filter((one, at) => one.kind !== 'then'
    || (kept.slice(0, at).some(looks) && kept.slice(at + 1).some(looks) && kept[at + 1]?.kind !== 'then'));
  hooks.ask(whole.map((one) => one.text).join(' '), where().p);
}
const looks = (one) => one.kind !== 'then' && one.kind !== 'filter';

function showFeedback(marks) {
  $('feedback-note').hidden = !marks;
  if (!marks) return;
  $('feedback-note').replaceChildren(`Adjusted by ${count(marks, 'rating')} `, el('button', { type: 'button', class: 'quiet', 'data-testid': 'clear-feedback', onclick: forget }, 'Clear'));
}

async function forget() {
  try {
    await api.remove('/feedback', { search_id: search.search_id });
    announce('Ratings cleared');
    again();
  } catch (error) { failed(error); }
}

function wrong(text) {
  $('wrong').textContent = text;
  $('wrong').hidden = !text;
  $('q').setAttribute('aria-invalid', String(Boolean(text)));
}

function refused(error) {
  search = null;
  results.clear();
  for (const id of ['parts', 'bar', 'banner', 'hints']) $(id).hidden = true;
  const typo = ['query', 'request'].includes(error.kind);
  if (typo) wrong(error.detail);
  const lost = /upload/.test(where().q) && [404, 422].includes(error.status);
  state('nothing', typo ? 'filter' : 'warn', typo ? 'Invalid query' : error.kind === 'busy' ? 'The server is busy' : error.kind === 'offline' ? 'The server is not responding' : 'The search failed', [
    typo ? null : el('p', {}, error.kind === 'offline' ? 'It may have been stopped, or the connection was lost.' : error.detail),
    lost ? el('p', {}, 'Uploaded images and clips are kept only for a while. Add it again.') : null,
    el('p', { class: 'row' }, typo
      ? el('button', { type: 'button', class: 'button', onclick: () => $('help-open').click() }, 'Query syntax')
      : el('button', { type: 'button', class: 'button', 'data-testid': 'retry', onclick: again }, 'Try again')),
  ]);
  $('nothing').dataset.kind = error.kind;
}

function none() {
  const filters = search.query_tokens.filter((one) => one.kind === 'filter' || one.kind === 'exclude');
  state('nothing', 'search', about?.video_count === 0 ? 'This library is empty' : 'Nothing found', [
    el('p', {}, about?.video_count === 0 ? 'Index a folder of videos first.' : filters.length ? 'No moment matches all filters. Try without one of them:' : 'Try other words. Describe what is visible, as in a photo caption.'),
    about?.video_count === 0
      ? el('p', { class: 'row' }, el('a', { class: 'button primary', href: link({ view: 'library' }), onclick: follow }, 'Open the library'))
      : el('p', { class: 'row' }, filters.map((one) => el('button', { type: 'button', class: 'button', onclick: () => without(one) }, `Without ${one.label || one.text}`))),
  ]);
  $('nothing').dataset.kind = 'none';
}

function state(id, name, title, children) {
  $(id).hidden = false;
  $(id).replaceChildren(...[icon(name), el('h2', {}, title), ...children].filter(Boolean));
}

// --- the start page

async function welcome() {
  results.clear();
  search = null;
  requestKey = '';
  const known = suggestions.known();
  if (!about) return;
  $('about').textContent = about.video_count
    ? `${count(about.video_count, 'video')}, ${length(about.seconds)}. Describe a moment, or ${matchMedia('(pointer: coarse)').matches ? 'add' : 'drop'} an image.`
    : 'Nothing is indexed yet. Index a folder, then describe the moment you are looking for.';
  const groups = [];
  if (!about.video_count) {
    groups.push(el('p', { class: 'row' }, about.permissions?.index
      ? el('button', { type: 'button', class: 'button primary', 'data-testid': 'index-open', onclick: () => hooks.index() }, icon('folder'), 'Index a folder')
      : el('span', {}, 'Ask whoever runs this server to index a folder.')));
  }
  const before = suggestions.recent().slice(0, 6);
  if (before.length) groups.push(group('Recent', before.map((one) => idea(one, one)), el('button', { type: 'button', class: 'quiet', onclick: () => { suggestions.forget(); welcome(); } }, 'Clear')));
  if (known.saved_searches.length) groups.push(group('Saved', known.saved_searches.slice(0, 12).map((one) => idea(`@${one.name}`, `@${one.name}`, one.query)), el('button', { type: 'button', class: 'quiet', 'data-testid': 'saved-manage', onclick: () => savedSearches() }, 'Edit')));
  if (about.video_count && before.length < 3) groups.push(group('For example', EXAMPLES.filter(([query]) => !query.includes('said:') || about.words?.length).map(([query, title]) => idea(query, query, title))));
  $('ideas').replaceChildren(...groups);
}
const EXAMPLES = [
  ['a dog runs on grass', 'Words for what is seen'],
  ['said:"thank you"', 'What is spoken'],
  ['a person walks then:<30s "a door"', 'One thing after another'],
  ['people outdoors longer:10s -night', 'Filters, and what not'],
];

const group = (title, items, end) => el('div', { class: 'ideas' }, el('h2', {}, title, end && ' ', end), el('ul', { role: 'list' }, items));
const idea = (query, label, title) => el('li', {}, el('a', { class: 'idea', href: link({ q: query }), title: title ?? null, onclick: (event) => { if (plain(event)) { event.preventDefault(); hooks.ask(query); } } }, label));
const plain = (event) => !event.metaKey && !event.ctrlKey && !event.shiftKey;

// --- actions offered to the other modules

const hooks = {
  ask: (q, p = '', fromFilters = false) => {
    if (q === where().q && !where().view) again();
    else go({ q, k: FIRST, all: false, filters: fromFilters || (where().filters && !where().view), p: /\blike:#/.test(q) ? p || search?.search_id || where().p : '', view: '', name: '', v: 0, t: null });
    if (fromFilters) return;
    $('q').blur();
    if (!q) $('q').focus();
  },
  open: (moment) => go({ v: moment.video.video_id, t: moment.start }),
  watch: (video, t = 0) => go({ v: video.video_id, t }),
  like: (moment) => {
    box.set('');
    box.attach(clip(moment), moment.video.name, api.thumbnail(moment.video.video_id, moment.explanation?.peak ?? moment.start, 160));
    hooks.ask(clip(moment));
    scrollTo(0, 0);
  },
  showDuplicates: () => go({ include_duplicates: true }),
  receive: () => { if (where().v) go({ v: 0, t: null }, { replace: true }); },
  down: () => results.move('ArrowDown'),
  index: () => part('indexing').then((indexing) => indexing.open(hooks)).catch(failed),
  export: (moments) => part('exporting').then((exporting) => exporting.open(moments ?? [...selection.values()])).catch(failed),
  inside: (video) => {
    go({ view: '', q: '', v: 0, t: null }, { quiet: false });
    box.set(`path:${suggestions.written(video.path)}`);
    $('q').value = ` ${$('q').value}`;
    $('q').focus();
    $('q').setSelectionRange(0, 0);
  },
  jobs: (jobs) => note(jobs),
  changed: refresh,
  about: () => about,
  leave: () => leave({ v: 0, t: null }),
  results,
};

async function refresh() {
  [about] = await Promise.all([api.get('/library'), suggestions.load()]);
  if (document.body.dataset.view === 'start') welcome();
  return about;
}

function follow(event) {
  if (!plain(event)) return;
  event.preventDefault();
  const url = new URL(event.currentTarget.href);
  if (url.searchParams.get('view') === 'library') go({ view: 'library', v: 0, t: null });
  else { box.set(''); go({ q: '', all: false, filters: false, view: '', v: 0, t: null }); $('q').focus(); }
}

const savedSearches = () => part('saved').then((saved) => saved.open(search, hooks)).catch(failed);

/** Show jobs that read videos in the header. */
function note(jobs) {
  const running = jobs.filter((job) => job.kind !== 'export' && ['running', 'waiting'].includes(job.state));
  $('jobs-note').hidden = !running.length;
  const [first] = running.filter((job) => job.state === 'running');
  if (running.length) $('jobs-note').replaceChildren(el('span', {}, first?.kind === 'transcribe' ? 'Reading\u00a0' : 'Adding\u00a0'), first?.phase === 'processing' ? `${Math.floor(first.progress * 100)} %` : '\u2026');
}

function selected() {
  $('export-bar').hidden = !selection.size;
  document.body.classList.toggle('selecting', selection.size > 0);
  $('export-count').textContent = `${selection.size} selected`;
  $('export-open').hidden = about?.permissions?.export === false;
}

// --- keys

function key(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || types(event.target)) return;
  if (document.querySelector('dialog[open]')) return;
  const moment = results.current();
  const on = {
    '/': () => { scrollTo(0, 0); $('q').focus(); $('q').select(); },
    '?': () => $('help-open').click(),
    l: () => (where().view ? go({ view: '' }) : go({ view: 'library' })),
    Escape: () => { if (selection.size) unselect(); else if (where().view) leave({ view: '' }); else $('q').focus(); },
    e: () => { if (!selection.size && moment) select(moment, true); if (selection.size) hooks.export(); },
    ...(where().q && !where().view && {
      ArrowLeft: () => results.move('ArrowLeft'),
      ArrowRight: () => results.move('ArrowRight'),
      ArrowUp: () => results.move('ArrowUp'),
      ArrowDown: () => results.move('ArrowDown'),
    }),
    ...(moment && {
      x: () => select(moment),
      s: () => hooks.like(moment),
      u: () => !results.browsed() && mark(moment, search.search_id, moment.relevant === true ? null : true),
      d: () => !results.browsed() && mark(moment, search.search_id, moment.relevant === false ? null : false),
    }),
  }[event.key];
  const space = event.key === ' ' && moment && event.target.matches('.open');
  if (space) hooks.open(moment);
  else if (!on) return;
  else on();
  event.preventDefault();
}

function themes() {
  const root = document.documentElement;
  const dark = (root.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const next = dark ? 'light' : 'dark';
  const own = next === (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  if (own) delete root.dataset.theme; // same as the system theme
  else root.dataset.theme = next;
  try {
    if (own) localStorage.removeItem('vsearch.theme');
    else localStorage.setItem('vsearch.theme', next);
  } catch { /* no storage */ }
  announce(`${next} theme`);
  document.dispatchEvent(new Event('vsearch:theme'));
}

// --- begin

function listen() {
  addEventListener('keydown', key);
  $('theme').addEventListener('click', themes);
  $('help-open').addEventListener('click', () => part('help').then((help) => help.open()).catch(failed));
  for (const id of ['to-library', 'jobs-note']) $(id).addEventListener('click', follow);
  document.querySelector('.brand').addEventListener('click', follow);
  $('diversify').addEventListener('change', (event) => go({ diversify: event.target.checked, k: FIRST, all: false }));
  $('include-duplicates').addEventListener('change', (event) => go({ include_duplicates: event.target.checked, k: FIRST, all: false }));
  $('filter-open').addEventListener('click', () => go({ filters: !where().filters || Boolean(where().view), view: '' }, { replace: !where().view }));
  $('more').addEventListener('click', () => go({ k: Math.min(MOST, where().k + 2 * FIRST) }, { replace: true }));
  $('save').addEventListener('click', savedSearches);
  $('export-open').addEventListener('click', () => hooks.export());
  $('export-none').addEventListener('click', unselect);
  $('export-all').addEventListener('click', () => results.shown().forEach((moment) => select(moment, true)));
  document.addEventListener('vsearch:selected', selected);
  document.addEventListener('vsearch:rated', ({ detail }) => {
    showFeedback(detail.feedback_count);
    toast(detail.feedback_count ? 'Rating saved. It applies to the next search.' : 'Rating removed.', where().v ? undefined : { label: 'Search again', run: again });
  });
  const offline = (on) => {
    $('notice').hidden = !on;
    $('notice').replaceChildren(icon('warn'), el('span', {}, navigator.onLine === false ? 'You are offline. ' : 'The server is not responding. It may have been stopped. '), el('button', { type: 'button', class: 'quiet', onclick: () => location.reload() }, 'Try again'));
  };
  api.connection.addEventListener('gone', () => offline(true));
  api.connection.addEventListener('back', () => offline(false));
  addEventListener('offline', () => { if (!['localhost', '127.0.0.1', '[::1]'].includes(location.hostname)) offline(true); });
  addEventListener('online', () => offline(false));
}

async function begin() {
  api.onToken(() => part('session').then((session) => session.ask()));
  listen();
  box.begin(hooks);
  results.begin(hooks);
  if (location.hash.includes('token=')) await part('session').then((session) => session.signInFromUrl());
  onChange(show);
  show(where());
  if (!where().q && !where().view && !where().v && matchMedia('(pointer: fine)').matches) box.wait();
  try {
    await refresh();
    const jobs = (await api.get('/jobs')).items;
    note(jobs);
    if (jobs.some((job) => ['running', 'waiting'].includes(job.state))) part('working').then((working) => working.follow(hooks));
  } catch (error) {
    if (document.body.dataset.view === 'start') $('about').textContent = error.detail ?? error.message;
  }
}

begin();
