// The results: a grid of moments that play on hover.

import * as api from './api.js';
import { $, clock, count, el, icon, percent, prefersReducedMotion, range, tool } from './dom.js';
import { confidence, facts, key, quotes, select, selection, thumbs, wordsOf } from './moment.js';
import { go, link, where } from './route.js';

const MAX_WEAK = 3; // shown weak results, as on the command line
const MOST = 200; // results of one search
const WAIT = 130; // ms of hover before a thumbnail plays

let search = null; // the shown search response
let hooks = {}; // open, like, showDuplicates
const cards = new Map(); // key → {node, moment}

/** Return all results, best first, including folded ones. */
export const moments = () => search?.results ?? [];

/** Return the results that are not folded. */
export const shown = () => [...cards.values()].filter(({ node }) => !node.hidden).map(({ moment }) => moment);

export function begin(given) {
  hooks = given;
  const list = $('results');
  list.addEventListener('pointerover', (event) => event.pointerType === 'mouse' && look(event.target.closest('.card')));
  list.addEventListener('pointerleave', () => rest());
  list.addEventListener('focusin', (event) => event.target.matches(':focus-visible') && look(event.target.closest('.card')));
  list.addEventListener('focusout', () => rest());
  $('unfold').addEventListener('click', unfold);
  document.addEventListener('vsearch:selected', mirror);
}

/** Show results; with `more`, reuse the existing cards. */
export function show(found, { more = false } = {}) {
  const before = new Map(more ? cards : []);
  search = found;
  const words = wordsOf(found);
  cards.clear();
  for (const moment of found.results) {
    cards.set(key(moment), before.get(key(moment)) ?? { node: card(moment, words), moment });
  }
  const nodes = [...cards.values()].map((one) => one.node);
  rest();
  $('results').replaceChildren(...nodes);
  fold(where().all);
  mirror();
}

export function clear() {
  search = null;
  cards.clear();
  rest();
  $('results').replaceChildren();
  fold(false);
}

// --- folding

/** Hide weak results after the first three, or show all; also show or hide the buttons below. */
export function fold(all) {
  let weak = 0;
  for (const { node, moment } of cards.values()) {
    weak += Number(moment.low_confidence);
    node.hidden = !all && moment.low_confidence && weak > MAX_WEAK;
  }
  const nodes = [...cards.values()].map(({ node }) => node);
  const folded = nodes.filter((node) => node.hidden).length;
  $('unfold').hidden = !folded;
  $('unfold').textContent = `Show ${count(folded, 'more weak match', 'more weak matches')}`;
  // the next results would be weaker than the last folded one
  $('more').hidden = !search || nodes.length < search.k || nodes.length >= MOST || nodes.at(-1).hidden;
}

/** Show all weak results and focus the first of those that were folded. */
function unfold() {
  const first = [...cards.values()].find(({ node }) => node.hidden)?.moment;
  go({ all: true }, { replace: true });
  if (first) focusOn(first);
}

// --- one card

function card(moment, words) {
  const { video } = moment;
  const title = `${video.name}, ${range(moment.start, moment.end)}`;
  const picture = el('img', { class: 'thumbnail', src: api.thumbnail(video.id, moment.explanation.peak, 480), alt: '', loading: 'lazy', decoding: 'async' });
  picture.addEventListener('error', () => picture.replaceWith(el('span', { class: 'thumbnail missing' }, icon('film'))));
  const open = el('a', {
    class: 'open', href: link({ ...where(), v: video.id, t: moment.start }), 'aria-label': `Play ${title}`, 'data-testid': 'open',
    onclick: (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey) { event.preventDefault(); hooks.open(moment); } },
  }, picture, el('span', { class: 'badge' }, range(moment.start, moment.end)), strip(moment));
  const box = el('label', { class: 'pick', title: 'Select (x)' },
    el('input', { type: 'checkbox', 'aria-label': `Select ${title}`, 'data-testid': 'select', onchange: (event) => select(moment, event.target.checked) }),
    el('span', { 'aria-hidden': 'true' }, icon('check')));
  const hidden = moment.explanation.duplicates_hidden;
  const more = hidden > 0 && el('button', { type: 'button', class: 'fact alike', 'data-testid': 'show-duplicates', title: 'Show near-duplicates', onclick: () => hooks.showDuplicates() }, `+${count(hidden, 'near-duplicate')}`);
  const node = el('li', { class: moment.low_confidence ? 'card weak' : 'card', 'data-testid': 'result', data: { video: video.id, start: moment.start, end: moment.end } },
    el('div', { class: 'frame' }, open, box),
    el('h2', { class: 'name', title: video.path }, video.name),
    el('div', { class: 'line meta' }, confidence(moment),
      el('div', { class: 'tools' }, thumbs(moment, () => search.id),
        tool('like', 'Search with this moment (s)', () => hooks.like(moment), { 'data-testid': 'search-with' }))),
    quotes(moment, words),
    el('div', { class: 'facts below' }, facts(moment), more));
  return node;
}

/** Create a strip that shows the position of a moment in its video. */
function strip(moment) {
  const whole = Math.max(moment.video.duration, moment.end, 0.1);
  const part = el('span', { class: 'part' });
  part.style.insetInlineStart = `${(moment.start / whole) * 100}%`;
  part.style.inlineSize = `${Math.max(1.5, ((moment.end - moment.start) / whole) * 100)}%`;
  return el('span', { class: 'strip', 'aria-hidden': 'true', title: `of ${clock(whole)}` }, part);
}

function mirror() {
  for (const [name, { node }] of cards) {
    const on = selection.has(name);
    node.classList.toggle('selected', on);
    node.querySelector('.pick input').checked = on;
  }
  $('results').classList.toggle('selecting', selection.size > 0);
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
  if (!moment || moment.video.missing) return;
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
  video.src = `${api.file(moment.video.id)}#t=${moment.start.toFixed(2)}`;
  video.play().catch(() => {});
  return video;
}

function moving(moment) {
  const picture = el('img', { class: 'playing', alt: '', src: api.preview(moment.video.id, moment.start, moment.end, 480) });
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

const visible = () => [...$('results').children].filter((node) => !node.hidden);

/** Focus the nth of the shown cards. */
export function focus(at = 0) {
  const all = visible();
  all[Math.max(0, Math.min(all.length - 1, at))]?.querySelector('.open').focus({ focusVisible: true });
}

/** Focus the card of a moment, if shown. */
export function focusOn(moment) {
  cards.get(key(moment))?.node.querySelector('.open').focus({ focusVisible: true });
}

/** Move the focus between the cards and the buttons below; return false if there are no cards. */
export function move(arrow) {
  const all = visible();
  if (!all.length) return false;
  const buttons = [$('unfold'), $('more')].filter((button) => !button.hidden);
  const button = buttons.indexOf(document.activeElement);
  if (button >= 0) {
    const next = button + (['ArrowDown', 'ArrowRight'].includes(arrow) ? 1 : -1);
    if (next < 0) focus(all.length - 1);
    else buttons[next]?.focus();
    return true;
  }
  const at = all.indexOf(document.activeElement?.closest?.('.card'));
  if (at < 0) {
    focus(0);
    return true;
  }
  const columns = all.filter((node) => Math.abs(node.offsetTop - all[0].offsetTop) < 8).length;
  const to = at + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[arrow];
  if (to < 0 && arrow === 'ArrowUp') {
    $('q').focus();
    return true;
  }
  if (to >= all.length && arrow === 'ArrowDown' && buttons.length) {
    buttons[0].focus();
    return true;
  }
  focus(to);
  return true;
}

/** Return a summary for screen readers. */
export function spoken() {
  const [best] = moments();
  if (!best) return 'Nothing found';
  const sure = best.confidence === null || best.confidence === undefined ? '' : `, confidence ${percent(best.confidence)}`;
  const folded = moments().length - shown().length;
  return `${count(moments().length, 'moment')}; the best is ${best.video.name} at ${clock(best.start)}${sure}${folded ? `; ${folded} weak ones are folded` : ''}`;
}
