// A moment: what was found, why, what a person thinks of it, and whether it is selected.

import * as api from './api.js';
import { clock, count, el, failed, icon, marked, percent, range, tool } from './dom.js';

/** What tells moments apart. */
export const key = (moment) => `${moment.video.id}:${moment.start.toFixed(2)}-${moment.end.toFixed(2)}`;

/** A moment as part of a query. */
export const clip = (moment) => `clip:video:${moment.video.id}@${seconds(moment.start)}-${seconds(Math.max(moment.end, moment.start + 0.1))}`;
const seconds = (value) => String(Math.round(Math.max(0, value) * 100) / 100);

// --- thumbs

/** Thumbs for a moment among the results of a search, whose id is asked for; they follow what is marked elsewhere. */
export function thumbs(moment, search) {
  const button = (up, name, label) => tool(name, label, () => mark(moment, search(), moment.mark === up ? null : up), {
    'data-testid': up ? 'thumb-up' : 'thumb-down', 'aria-pressed': String(moment.mark === up),
  });
  return el('span', { class: 'thumbs', data: { moment: key(moment) } }, button(true, 'up', 'This is what I meant (u)'), button(false, 'down', 'This is not (d)'));
}

let marking = Promise.resolve(); // one after the other: what was said last counts

/** Keep what a person thinks of a moment: true, false, or null for nothing. */
export function mark(moment, search, up) {
  const before = moment.mark ?? null;
  show(moment, up);
  return marking = marking.then(() => put(moment, search, up, before));
}

async function put(moment, search, up, before) {
  try {
    const told = await api.post('/marks', { search, video_id: moment.video.id, start: moment.start, end: moment.end, up });
    document.dispatchEvent(new CustomEvent('vsearch:marked', { detail: { moment, marks: told.marks } }));
  } catch (error) {
    show(moment, before);
    failed(error);
  }
}

function show(moment, up) {
  moment.mark = up;
  for (const both of document.querySelectorAll(`.thumbs[data-moment="${key(moment)}"]`)) {
    both.children[0].setAttribute('aria-pressed', String(up === true));
    both.children[1].setAttribute('aria-pressed', String(up === false));
  }
}

// --- selection

/** Moments that are selected, by their keys, in the order in which they were. */
export const selection = new Map();

export function select(moment, on = !selection.has(key(moment))) {
  if (on) selection.set(key(moment), moment);
  else selection.delete(key(moment));
  document.dispatchEvent(new CustomEvent('vsearch:selected'));
}

export function unselect() {
  selection.clear();
  document.dispatchEvent(new CustomEvent('vsearch:selected'));
}

// --- why

/** How sure the search is, as words and a small meter. */
export function confidence(moment) {
  if (moment.confidence === null || moment.confidence === undefined) {
    return el('span', { class: 'sure', title: 'A score counts within one search only' }, `score ${moment.score.toFixed(2)}`);
  }
  const bar = el('span', { class: 'meter', 'aria-hidden': 'true' }, el('span'));
  bar.firstChild.style.inlineSize = `${Math.max(4, moment.confidence * 100)}%`;
  return el('span', { class: moment.weak ? 'sure weak' : 'sure', 'data-testid': 'confidence', title: 'How probable it is that this shows what you asked for' },
    bar, moment.weak ? `weak, ${percent(moment.confidence)}` : `${percent(moment.confidence)} sure`);
}

const SAID = { subtitles: 'subtitle', speech: 'said', screen: 'on screen' };

/** Words that were said or shown, those of the query marked. */
export function quotes(moment, words, most = 2, seek = null) {
  return (moment.why.quotes ?? []).slice(0, most).map((quote) => {
    const when = seek
      ? el('button', { type: 'button', class: 'time', onclick: () => seek(quote.start) }, clock(quote.start))
      : el('span', { class: 'time' }, clock(quote.start));
    return el('p', { class: 'quote', 'data-testid': 'quote' },
      el('span', { class: 'source' }, icon(quote.source === 'screen' ? 'screen' : 'speech'), `${SAID[quote.source] ?? quote.source} `, when),
      el('q', {}, ...marked(quote.text, words)));
  });
}

/** Short facts: the best frame, a copy, its steps, what brought the score. */
export function facts(moment) {
  const { why } = moment;
  const told = [];
  if (why.copy) told.push(['copy', `copy, from ${clock(why.peak)}`, 'The clip you gave was cut out of this']);
  else told.push(['peak', `best at ${clock(why.peak)}`, looked(moment)]);
  if (why.steps?.length) told.push(['steps', why.steps.map((step) => clock(step.start)).join(' → '), 'When each thing you asked for happens']);
  if (why.shares && why.quotes?.length) {
    const parts = Object.entries(why.shares).filter(([, share]) => share >= 0.005).sort((a, b) => b[1] - a[1]);
    if (parts.length > 1 || parts[0]?.[0] !== 'seen') told.push(['shares', parts.map(([name, share]) => `${name} ${percent(share)}`).join(', '), 'What brought it here']);
  }
  return told.map(([name, text, title]) => el('span', { class: `fact ${name}`, title }, text));
}

function looked(moment) {
  const frames = (moment.why.heeded ?? []).toSorted((a, b) => b.share - a.share).slice(0, 4);
  return frames.length > 1
    ? `The frame that fits best. Looked at: ${frames.map((one) => `${clock(one.time, true)} (${percent(one.share)})`).join(', ')}`
    : `The frame that fits best, of ${range(moment.start, moment.end)}`;
}

/** The words of a query that may be marked in what is said. */
export function wordsOf(search) {
  const texts = (search?.parts ?? []).filter((part) => ['text', 'said', 'shown'].includes(part.kind)).map((part) => part.label ?? part.text);
  const all = texts.join(' ').replace(/\b(?:said|shown|text):/g, ' ').toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
  const telling = all.filter((word) => !COMMON.has(word));
  return [...new Set(telling.length ? telling : all)];
}
const COMMON = new Set('a an the of in on at to is are and or it its with for by from as that this these those be was were into'.split(' '));

export const alike = (moment) => moment.why.alike
  ? count(moment.why.alike, 'more like it', 'more like it')
  : '';
