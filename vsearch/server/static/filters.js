// Controls for filters. They read and write the query, which stays the only state.

import * as api from './api.js';
import { $, el, failed, icon } from './dom.js';
import { written } from './suggestions.js';

const LENGTHS = [['Under 1 min', '', '1m'], ['1 – 10 min', '1m', '10m'], ['Over 10 min', '10m', '']];
const RECENT = [['Last 7 days', '7d'], ['Last 30 days', '30d']];
const MAX_YEARS = 5; // shown as buttons
const CONTENTS = { speech: 'Speech', subtitles: 'Subtitles', screen: 'Text on screen', tags: 'Tags', music: 'Music', singing: 'Singing' };
const FIELDS = ['after', 'before', 'path', 'tag', 'longer', 'shorter', 'has'];

let hooks = {}; // query() → text, ask(text), close(), reload
let facets = null; // the response of GET /facets

// --- the query as text

/** Split a query into its tokens: [{text, name, value, minus}]; `name` is '' without a field. */
export function split(text) {
  const tokens = [];
  let start = -1;
  let quoted = false;
  const end = (at) => { if (start >= 0) tokens.push(text.slice(start, at)); start = -1; };
  for (let at = 0; at < text.length; at += 1) {
    if (!quoted && /\s/.test(text[at])) { end(at); continue; }
    if (start < 0) start = at;
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') quoted = !quoted;
  }
  end(text.length);
  return tokens.map((token) => {
    const [, minus, name, value] = /^(-?)([a-z]+):(.*)$/is.exec(token) ?? [];
    return { text: token, name: (name ?? '').toLowerCase(), value: unquoted(value ?? ''), minus: Boolean(minus) };
  });
}

const unquoted = (value) => (value.startsWith('"') ? value.slice(1, value.endsWith('"') ? -1 : undefined) : value).replace(/\\(.)/g, '$1');

/** Return the values of a filter, without excluded ones. */
export const values = (text, name) => split(text).filter((one) => one.name === name && !one.minus).map((one) => one.value);

/** Return the query with other values of filters: { name: [values] }. */
export function change(text, wanted) {
  const kept = split(text).filter((one) => one.minus || !(one.name in wanted)).map((one) => one.text);
  const added = Object.entries(wanted).flatMap(([name, all]) => all.filter(Boolean).map((value) => `${name}:${written(value)}`));
  return [...kept, ...added].join(' ');
}

/** Return the number of filters in a query. */
export const countIn = (text) => split(text).filter((one) => FIELDS.includes(one.name)).length;

// --- the controls

/** Show the controls for the current query. */
export async function show(given) {
  hooks = given;
  draw();
  if (facets && !given.reload) return;
  try {
    facets = await api.get('/facets');
    draw();
  } catch (error) { failed(error); }
}

function draw() {
  const text = hooks.query();
  const focused = document.activeElement?.closest?.('#filters') ? document.activeElement.dataset.at : null;
  const parts = [dates(text), folders(text), tags(text), lengths(text), contents(text)].filter(Boolean);
  const any = countIn(text) > 0;
  $('filters').replaceChildren(el('div', { class: 'filter-groups' }, parts),
    el('p', { class: 'filter-ends' }, any && el('button', { type: 'button', class: 'quiet', 'data-testid': 'filters-clear', data: { at: 'clear' }, onclick: () => put(Object.fromEntries(FIELDS.map((name) => [name, []]))) }, icon('close'), 'Clear filters'),
      el('button', { type: 'button', class: 'quiet', 'data-testid': 'filters-close', data: { at: 'close' }, onclick: () => hooks.close() }, 'Done')));
  if (focused) $('filters').querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus();
}

const put = (wanted) => hooks.ask(change(hooks.query(), wanted));

const group = (name, title, ...children) => el('fieldset', { class: `filter of-${name}`, 'data-testid': `filter-${name}` }, el('legend', {}, title), children);

function pill(at, label, on, onclick, title = null) {
  return el('button', { type: 'button', class: 'pill', 'aria-pressed': String(on), data: { at }, title, onclick }, label);
}

function dates(text) {
  const [after] = values(text, 'after');
  const [before] = values(text, 'before');
  const both = (from, to, on) => put(on ? { after: [], before: [] } : { after: [from], before: [to] });
  const recent = RECENT.map(([label, from]) => {
    const on = after === from && !before;
    return pill(`date-${from}`, label, on, () => both(from, '', on));
  });
  const years = (facets?.years ?? []).slice(0, MAX_YEARS).map(({ year, count }) => {
    const on = after === String(year) && before === String(year + 1);
    return pill(`date-${year}`, String(year), on, () => both(String(year), String(year + 1), on), `${count} videos`);
  });
  const day = (value) => (/^\d{4}-\d\d-\d\d$/.test(value ?? '') ? value : '');
  const input = (name, label, value) => el('label', { class: 'filter-day' }, el('span', {}, label),
    el('input', { type: 'date', class: 'text', value: day(value), max: '9999-12-31', data: { at: name }, 'data-testid': `filter-${name}`, onchange: (event) => put({ [name]: [event.target.value] }) }));
  return group('date', 'Date', el('div', { class: 'pills' }, recent, years), el('div', { class: 'filter-days' }, input('after', 'From', after), input('before', 'Before', before)));
}

/** Create a list to choose one value of; values that are not in the list are added. */
function choice(name, label, options, chosen, onchange) {
  const known = options.some(([value]) => value === chosen) || !chosen;
  const select = el('select', { class: 'text', 'aria-label': label, data: { at: name }, 'data-testid': `filter-${name}-choice`, onchange: () => onchange(select.value) },
    el('option', { value: '' }, 'Any'), !known && el('option', { value: chosen }, chosen),
    options.map(([value, text]) => el('option', { value }, text)));
  select.value = chosen ?? '';
  return select;
}

function folders(text) {
  const [chosen] = values(text, 'path');
  if (facets && !facets.folders.length && !chosen) return null;
  const names = new Map();
  for (const { name } of facets?.folders ?? []) names.set(name, (names.get(name) ?? 0) + 1);
  return group('folder', 'Folder', choice('folder', 'Folder', (facets?.folders ?? []).map(({ name, path, pattern, count }) => [pattern, `${names.get(name) > 1 ? path : name} (${count})`]), chosen, (value) => put({ path: [value] })));
}

function tags(text) {
  const chosen = values(text, 'tag');
  if (facets && !facets.tags.length && !chosen.length) return null;
  return group('tag', 'Tag', choice('tag', 'Tag', (facets?.tags ?? []).map(({ label, count }) => [label, `${label} (${count})`]), chosen[0], (value) => put({ tag: [value, ...chosen.slice(1)] })));
}

function lengths(text) {
  const [longer = ''] = values(text, 'longer');
  const [shorter = ''] = values(text, 'shorter');
  return group('length', 'Length', el('div', { class: 'pills' }, LENGTHS.map(([label, from, to]) => {
    const on = from === longer && to === shorter;
    return pill(`length-${from}-${to}`, label, on, () => put(on ? { longer: [], shorter: [] } : { longer: [from], shorter: [to] }));
  })));
}

function contents(text) {
  const chosen = values(text, 'has');
  return group('has', 'Has', el('div', { class: 'pills' }, (facets?.contents ?? Object.keys(CONTENTS).slice(0, 4)).map((kind) => {
    const on = chosen.includes(kind);
    return pill(`has-${kind}`, CONTENTS[kind] ?? kind, on, () => put({ has: on ? chosen.filter((one) => one !== kind) : [...chosen, kind] }));
  })));
}
