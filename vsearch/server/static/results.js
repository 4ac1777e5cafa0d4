// The results: a grid of moments that play on hover; less likely ones are folded.

import * as api from './api.js';
import { $, clock, count, el, icon, percent, prefersReducedMotion, range, tool } from './dom.js';
import { confidence, describe, flags, key, quotes, select, selection, thumbs, wordsOf } from './moment.js';
import { go, link, MOST, where } from './route.js';

const WAIT = 130; // ms of hover before a thumbnail plays
const SKELETONS = 12; // shown while waiting

let search = null; // the shown search response
let hooks = {}; // open, like, showDuplicates
const cards = new Map(); // key → {node, moment}
let hasLikely = false; // else all results are less likely, and none is folded

/** Return all results, best first, including folded ones. */
export const moments = () => search?.results ?? [];

const isFolded = (moment) => moment.low_confidence && hasLikely && !where().all;

/** Return the results that are not folded, in the order shown. */
export const shown = () => inOrder().filter((moment) => !isFolded(moment));

const inOrder = () => [...moments().filter((one) => !one.low_confidence), ...moments().filter((one) => one.low_confidence)];

/** Return true if the query had only filters: its moments are in order of time. */
export const browsed = () => Boolean(search?.browse);

export function begin(given) {
  hooks = given;
  for (const list of [$('results'), $('less')]) {
    list.addEventListener('pointerover', (event) => event.pointerType === 'mouse' && look(event.target.closest('.card')));
    list.addEventListener('pointerleave', () => rest());
    list.addEventListener('focusin', (event) => event.target.matches(':focus-visible') && look(event.target.closest('.card')));
    list.addEventListener('focusout', () => rest());
  }
  $('weak').addEventListener('toggle', () => {
    if (!$('weak').hidden && $('weak').open !== where().all) go({ all: $('weak').open }, { replace: true });
  });
  document.addEventListener('vsearch:selected', mirror);
}

/** Show results; with `more`, reuse the existing cards. */
export function show(found, { more = false } = {}) {
  const before = new Map(more ? cards : []);
  search = found;
  if (found.browse) for (const moment of found.results) moment.score = null;
  const words = wordsOf(found);
  hasLikely = found.results.some((one) => !one.low_confidence);
  cards.clear();
  for (const moment of found.results) {
    cards.set(key(moment), before.get(key(moment)) ?? { node: card(moment, words), moment });
  }
  rest();
  const nodes = (wanted) => found.results.filter(wanted).map((moment) => cards.get(key(moment)).node);
  $('results').replaceChildren(...(browsed() ? dated(found.results) : nodes((one) => !one.low_confidence || !hasLikely)));
  $('less').replaceChildren(...nodes((one) => one.low_confidence && hasLikely));
  $('results').removeAttribute('aria-busy');
  fold(where().all);
  mirror();
}

export function clear() {
  search = null;
  cards.clear();
  rest();
  for (const id of ['results', 'less']) $(id).replaceChildren();
  fold(false);
}

/** Show empty cards until the results arrive. */
export function wait() {
  clear();
  const blank = () => el('li', { class: 'card skeleton', 'aria-hidden': 'true' }, el('div', { class: 'open' }), el('div', { class: 'line' }, el('span', { class: 'bone' })));
  $('results').replaceChildren(...Array.from({ length: SKELETONS }, blank));
  $('results').setAttribute('aria-busy', 'true');
}

/** Return the cards with a heading before each month. */
function dated(results) {
  let last = '';
  return results.flatMap((moment) => {
    const date = recorded(moment.video);
    const month = date ? date.toLocaleDateString(undefined, { month: 'long', year: 'numeric' }) : 'Without a date';
    const heading = month !== last && el('li', { class: 'day', 'data-testid': 'month' }, el('h2', {}, month));
    last = month;
    return [heading, cards.get(key(moment)).node].filter(Boolean);
  });
}

/** Return the date of a recording, else of the file, or null. */
export function recorded(video) {
  const date = new Date(video.recorded_at ?? video.modified_at ?? video.mtime_ns / 1e6);
  return Number.isNaN(date.getTime()) ? null : date;
}

// --- folding

/** Fold or unfold the less likely results; also show or hide the button below. */
export function fold(all) {
  const weak = $('less').childElementCount;
  $('weak').hidden = !weak;
  $('weak').open = all;
  $('unfold').replaceChildren(icon('chevron'), el('span', {}, 'Less likely'), el('span', { class: 'soft' }, String(weak)));
  // the next results would be weaker than the last folded one
  $('more').hidden = !search || cards.size < search.k || cards.size >= MOST || isFolded(search.results.at(-1));
}

// --- one card

function card(moment, words) {
  const { video } = moment;
  const title = video.is_photo ? video.name : `${video.name}, ${range(moment.start, moment.end)}`;
  const still = api.thumbnail(video.video_id, moment.explanation?.peak ?? moment.start, 480);
  const picture = el('img', { class: 'thumbnail', src: still, alt: '', loading: 'lazy', decoding: 'async', draggable: 'false' });
  const ground = el('img', { class: 'ground', src: still, alt: '', loading: 'lazy', decoding: 'async', 'aria-hidden': 'true' });
  picture.addEventListener('error', () => { ground.remove(); picture.replaceWith(el('span', { class: 'thumbnail missing' }, icon(video.is_photo ? 'picture' : 'film'))); });
  const open = el('a', {
    class: 'open', href: link({ ...where(), v: video.video_id, t: moment.start }), 'aria-label': `${video.is_photo ? 'Show' : 'Play'} ${title}`, 'data-testid': 'open',
    onclick: (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey) { event.preventDefault(); hooks.open(moment); } },
  }, ground, picture, flags(moment), !video.is_photo && !isWhole(moment) && strip(moment));
  const box = el('label', { class: 'pick', title: 'Select (x)' },
    el('input', { type: 'checkbox', 'aria-label': `Select ${title}`, 'data-testid': 'select', onchange: (event) => select(moment, event.target.checked) }),
    el('span', { 'aria-hidden': 'true' }, icon('check')));
  const hidden = moment.explanation?.duplicates_hidden ?? 0;
  const more = hidden > 0 && el('button', { type: 'button', class: 'alike', 'data-testid': 'show-duplicates', title: `Show ${count(hidden, 'near-duplicate')}`, 'aria-label': `Show ${count(hidden, 'near-duplicate')}`, onclick: () => hooks.showDuplicates() }, `+${hidden}`);
  const tools = el('div', { class: 'tools' }, !browsed() && thumbs(moment, () => search.search_id),
    tool('like', 'Search with this moment (s)', () => hooks.like(moment), { 'data-testid': 'search-with' }));
  return el('li', { class: moment.low_confidence ? 'card weak' : 'card', 'data-testid': 'result', data: { video: video.video_id, start: moment.start, end: moment.end, ...(moment.relevant !== null && moment.relevant !== undefined && { relevant: moment.relevant }), moment: key(moment) } },
    el('div', { class: 'frame' }, open, box, more, tools),
    el('div', { class: 'line', title: describe(moment) },
      el(browsed() ? 'h3' : 'h2', { class: 'name', dir: 'auto' }, video.name),
      !video.is_photo && el('span', { class: 'when' }, clock(browsed() && isWhole(moment) ? video.duration : moment.start)),
      confidence(moment)),
    quotes(moment, words, 1));
}

const isWhole = ({ start, end, video }) => end - start > 0.98 * video.duration;

/** Create a strip that shows the position of a moment in its video. */
function strip(moment) {
  const whole = Math.max(moment.video.duration, moment.end, 0.1);
  const part = el('span', { class: 'part' });
  part.style.insetInlineStart = `${(moment.start / whole) * 100}%`;
  part.style.inlineSize = `${Math.max(1.5, ((moment.end - moment.start) / whole) * 100)}%`;
  return el('span', { class: 'strip', 'aria-hidden': 'true' }, part);
}

function mirror() {
  for (const [name, { node }] of cards) {
    const on = selection.has(name);
    node.classList.toggle('selected', on);
    node.querySelector('.pick input').checked = on;
  }
  for (const id of ['results', 'less']) $(id).classList.toggle('selecting', selection.size > 0);
}

// --- playing

let looked = null;
let timer = 0;

function look(node) {
  if (node === looked) return;
  rest();
  looked = node;
  if (node && !prefersReducedMotion()) timer = setTimeout(() => play(node), WAIT);
}

function rest() {
  clearTimeout(timer);
  if (looked) {
    const playing = looked.querySelector('.playing');
    if (playing) {
      playing.removeAttribute('src');
      playing.load?.();
      playing.remove();
    }
  }
  looked = null;
}

function play(node) {
  const { moment } = [...cards.values()].find((one) => one.node === node) ?? {};
  if (!moment || moment.video.missing || moment.video.is_photo) return;
  const direct = moment.video.playback === 'direct';
  const shown = direct ? film(moment) : moving(moment);
  shown.dataset.testid = 'hover';
  node.querySelector('.thumbnail').after(shown);
}

function film(moment) {
  const last = Math.max(moment.end, moment.start + 0.5);
  const video = el('video', { class: 'playing', muted: true, playsinline: true, preload: 'auto', disablepictureinpicture: true, tabindex: -1, 'aria-hidden': 'true' });
  video.addEventListener('loadedmetadata', () => { video.currentTime = moment.start; });
  video.addEventListener('timeupdate', () => { if (video.currentTime >= last) video.currentTime = moment.start; });
  video.addEventListener('ended', () => { video.currentTime = moment.start; video.play().catch(() => {}); });
  video.addEventListener('playing', () => video.classList.add('ready'));
  video.addEventListener('error', () => { if (video.isConnected && video.src) video.replaceWith(moving(moment)); });
  video.src = `${api.file(moment.video.video_id)}#t=${moment.start.toFixed(2)}`;
  video.play().catch(() => {});
  return video;
}

function moving(moment) {
  const picture = el('img', { class: 'playing', alt: '', src: api.preview(moment.video.video_id, moment.start, moment.end, 480) });
  picture.addEventListener('load', () => picture.classList.add('ready'));
  picture.addEventListener('error', () => picture.remove());
  return picture;
}

// --- keyboard

/** Return the focused moment. */
export function current() {
  const node = document.activeElement?.closest?.('.card');
  return node ? [...cards.values()].find((one) => one.node === node)?.moment ?? null : null;
}

const visible = () => [...document.querySelectorAll('#results > .card:not(.skeleton), #weak[open]:not([hidden]) #less > .card')];
const target = (stop) => (stop.matches('.card') ? stop.querySelector('.open') : stop);

/** Focus the nth of the shown cards. */
export function focus(at = 0) {
  const all = visible();
  all[Math.max(0, Math.min(all.length - 1, at))]?.querySelector('.open').focus({ focusVisible: true });
}

/** Focus the card of a moment, if shown. */
export function focusOn(moment) {
  cards.get(key(moment))?.node.querySelector('.open').focus({ focusVisible: true });
}

/** Move the focus between the cards and the buttons around them; return false if there are no cards. */
export function move(arrow) {
  const all = visible();
  if (!all.length) return false;
  const stops = [...all, ...[$('unfold'), $('more')].filter((one) => one.checkVisibility())]
    .sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  const active = document.activeElement;
  const now = stops.find((stop) => stop === active || (stop.matches('.card') && stop.contains(active)));
  if (!now) focus(0);
  else if (arrow === 'ArrowLeft' || arrow === 'ArrowRight') {
    const to = stops[stops.indexOf(now) + (arrow === 'ArrowRight' ? 1 : -1)];
    if (to) target(to).focus({ focusVisible: true });
  } else vertically(now, stops, arrow === 'ArrowDown');
  return true;
}

/** Focus the nearest stop of the next row below or above. */
function vertically(now, stops, down) {
  const from = now.getBoundingClientRect();
  const rest = stops.map((stop) => ({ stop, box: stop.getBoundingClientRect() }))
    .filter(({ box }) => (down ? box.top > from.top + 8 && box.top >= from.bottom - 8 : box.top < from.top - 8));
  if (!rest.length) {
    if (!down) $('q').focus();
    return;
  }
  const top = down ? Math.min(...rest.map(({ box }) => box.top)) : Math.max(...rest.map(({ box }) => box.top));
  const centre = (box) => (box.left + box.right) / 2;
  const row = rest.filter(({ box }) => Math.abs(box.top - top) < 8);
  row.sort((a, b) => Math.abs(centre(a.box) - centre(from)) - Math.abs(centre(b.box) - centre(from)));
  target(row[0].stop).focus({ focusVisible: true });
}

/** Return a summary for screen readers. */
export function spoken() {
  const [best] = inOrder();
  if (!best) return 'Nothing found';
  if (browsed()) return `${count(moments().length, 'moment')}, the newest first`;
  const sure = best.confidence === null || best.confidence === undefined ? '' : `, confidence ${percent(best.confidence)}`;
  const folded = moments().length - shown().length;
  return `${count(moments().length, 'moment')}; the best is ${best.video.name} at ${clock(best.start)}${sure}${folded ? `; ${folded} less likely ones are folded` : ''}`;
}
