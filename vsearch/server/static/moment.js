// A moment: its explanation, rating and selection.

import * as api from './api.js';
import { clock, el, icon, marked, percent, range, size, toast, tool } from './dom.js';

/** Return a key that identifies a moment. */
export const key = (moment) => `${moment.video.video_id}:${moment.start.toFixed(2)}-${moment.end.toFixed(2)}`;

/** Return a moment as a query term. */
export const clip = (moment) => `clip:video:${moment.video.video_id}@${seconds(moment.start)}-${seconds(Math.max(moment.end, moment.start + 0.1))}`;
const seconds = (value) => String(Math.round(Math.max(0, value) * 100) / 100);

// --- rating

/** Create rating buttons for a result; `search` returns the search id. Copies stay in sync. */
export function thumbs(moment, search) {
  const button = (relevant, name, label) => tool(name, label, () => mark(moment, search(), moment.relevant === relevant ? null : relevant), {
    'data-testid': relevant ? 'thumb-up' : 'thumb-down', 'aria-pressed': String(moment.relevant === relevant),
  });
  return el('span', { class: 'thumbs', data: { moment: key(moment) } }, button(true, 'up', 'Relevant (u)'), button(false, 'down', 'Not relevant (d)'));
}

let marking = Promise.resolve(); // in order, so that the last rating wins

/** Rate a moment: true, false, or null to remove the rating. The page shows it at once. */
export function mark(moment, search, relevant) {
  if (moment.rated === undefined) moment.rated = moment.relevant ?? null; // as stored on the server
  show(moment, relevant);
  return marking = marking.then(() => put(moment, search, relevant));
}

async function put(moment, search, relevant) {
  try {
    const response = await api.post('/feedback', { search_id: search, video_id: moment.video.video_id, start: moment.start, end: moment.end, relevant });
    moment.rated = relevant;
    document.dispatchEvent(new CustomEvent('vsearch:rated', { detail: { moment, feedback_count: response.feedback_count } }));
  } catch (error) {
    if (moment.relevant === relevant) show(moment, moment.rated); // unless rated again meanwhile
    toast(`The rating was not saved: ${error.detail ?? error.message}`, { label: 'Try again', run: () => mark(moment, search, relevant) });
  }
}

function show(moment, relevant) {
  moment.relevant = relevant;
  for (const both of document.querySelectorAll(`.thumbs[data-moment="${key(moment)}"]`)) {
    both.children[0].setAttribute('aria-pressed', String(relevant === true));
    both.children[1].setAttribute('aria-pressed', String(relevant === false));
  }
  for (const card of document.querySelectorAll(`.card[data-moment="${key(moment)}"]`)) {
    if (relevant === null) delete card.dataset.relevant;
    else card.dataset.relevant = relevant;
  }
}

// --- selection

/** Selected moments by key, in order of selection. */
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

// --- explanation

/** Create the confidence as text and a meter; nothing for moments of a query without terms. */
export function confidence(moment) {
  if (moment.confidence === null || moment.confidence === undefined) {
    if (moment.score === null || moment.score === undefined) return null;
    return el('span', { class: 'sure', title: 'Scores are comparable within one search only' }, `score ${moment.score.toFixed(2)}`);
  }
  const bar = el('span', { class: 'meter', 'aria-hidden': 'true' }, el('span'));
  bar.firstChild.style.inlineSize = `${Math.max(4, moment.confidence * 100)}%`;
  return el('span', { class: moment.low_confidence ? 'sure weak' : 'sure', 'data-testid': 'confidence', title: 'Probability that this matches the query' },
    bar, percent(moment.confidence));
}

/** Create the notes on a picture: missing, a copy, a photo. */
export function flags(moment) {
  const { video } = moment;
  const items = [];
  if (video.missing) items.push(['gone', video.file_status]);
  if (moment.explanation?.is_copy) items.push(['copy', 'copy']);
  return items.length > 0 && el('span', { class: 'flags' }, items.map(([name, text]) => el('span', { class: `badge ${name}` }, text)));
}

/** Return when, with what and where a video or photo was recorded; the time is local there if known. */
export function recording({ recorded_at: recorded, utc_offset_minutes: offset, camera, location }) {
  const date = new Date(recorded ?? NaN);
  const local = Number.isFinite(offset) ? new Date(date.getTime() + offset * 60_000) : date;
  const zone = Number.isFinite(offset) ? { timeZone: 'UTC' } : {};
  return [
    !Number.isNaN(date.getTime()) && local.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short', ...zone }),
    camera,
    location && `${location.latitude.toFixed(4)}, ${location.longitude.toFixed(4)}`,
  ].filter(Boolean).join(' \u00b7 ');
}

/** Return all facts about a moment as lines of text. */
export function describe(moment) {
  const { video } = moment;
  return [
    video.path ?? video.name,
    !video.is_photo && `${range(moment.start, moment.end)} of ${clock(video.duration)}`,
    recording(video),
    [`${video.width} \u00d7 ${video.height}`, video.size && size(video.size)].filter(Boolean).join(' \u00b7 '),
    ...facts(moment).map((fact) => fact.textContent),
  ].filter(Boolean).join('\n');
}

const SOURCES = { subtitles: 'subtitle', speech: 'speech', ocr: 'on screen' };

/** Create quotes from transcripts with highlighted query words. */
export function quotes(moment, words, most = 2, seek = null) {
  return (moment.explanation?.quotes ?? []).slice(0, most).map((quote) => {
    const when = seek
      ? el('button', { type: 'button', class: 'time', onclick: () => seek(quote.start) }, clock(quote.start))
      : el('span', { class: 'time' }, clock(quote.start));
    return el('p', { class: 'quote', 'data-testid': 'quote' },
      el('span', { class: 'source' }, icon(quote.source === 'ocr' ? 'screen' : 'speech'), `${SOURCES[quote.source] ?? quote.source} `, when),
      el('q', {}, ...marked(quote.text, words)));
  });
}

/** Create short facts: best frame, copy, steps and score shares. */
export function facts(moment) {
  const { explanation } = moment;
  const items = [];
  if (!explanation) return [];
  if (moment.video.missing) items.push(['gone', moment.video.file_status, 'The file cannot be played: it was moved or deleted, or its drive is not connected']);
  if (explanation.is_copy) items.push(['copy', `copy, from ${clock(explanation.peak)}`, 'The query clip was cut from this video']);
  else if (!moment.video.is_photo && moment.score !== null && moment.score !== undefined) items.push(['peak', `peak ${clock(explanation.peak)}`, describeFrames(moment)]);
  if (explanation.steps?.length) items.push(['steps', explanation.steps.map((step) => clock(step.start)).join(' → '), 'Start of each step']);
  if (explanation.score_shares && explanation.quotes?.length) {
    const parts = Object.entries(explanation.score_shares).filter(([, share]) => share >= 0.005).sort((a, b) => b[1] - a[1]);
    if (parts.length > 1 || parts[0]?.[0] !== 'visual') items.push(['shares', parts.map(([name, share]) => `${name} ${percent(share)}`).join(', '), 'Share of each modality in the score']);
  }
  return items.map(([name, text, title]) => el('span', { class: `fact ${name}`, title }, text));
}

function describeFrames(moment) {
  const frames = (moment.explanation.frame_weights ?? []).toSorted((a, b) => b.weight - a.weight).slice(0, 4);
  return frames.length > 1
    ? `Best matching frame. Frame weights: ${frames.map((one) => `${clock(one.time, true)} (${percent(one.weight)})`).join(', ')}`
    : `Best matching frame of ${range(moment.start, moment.end)}`;
}

/** Return the words of a query to highlight in transcripts. */
export function wordsOf(search) {
  const texts = (search?.query_tokens ?? []).filter((part) => ['text', 'said', 'shown'].includes(part.kind)).map((part) => part.label ?? part.text);
  const all = texts.join(' ').replace(/\b(?:said|shown|text):/g, ' ').toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
  const contentWords = all.filter((word) => !COMMON.has(word));
  return [...new Set(contentWords.length ? contentWords : all)];
}
const COMMON = new Set('a an the of in on at to is are and or it its with for by from as that this these those be was were into'.split(' '));
