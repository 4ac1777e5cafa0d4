// Suggestions: filters, saved searches, tags and recent queries.

import * as api from './api.js';

const KEPT = 30; // recent queries stored in the browser
const SHOWN = 8;
const STORE = 'vsearch.recent';

let syntax = { filters: [], saved_searches: [], tags: [], models: [] };

export const known = () => syntax;

/** Load the query syntax of the library. */
export async function load() {
  syntax = { ...syntax, ...(await api.get('/query-syntax')) };
  return syntax;
}

export function recent() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? '[]').filter((one) => typeof one === 'string');
  } catch {
    return [];
  }
}

export function remember(query) {
  if (!query || /upload:/.test(query)) return; // uploads expire
  try {
    localStorage.setItem(STORE, JSON.stringify([query, ...recent().filter((one) => one !== query)].slice(0, KEPT)));
  } catch { /* no storage */ }
}

export function forget() {
  try { localStorage.removeItem(STORE); } catch { /* no storage */ }
}

/** Return the token before the caret: {start, text}. */
export function token(text, caret) {
  let start = 0;
  let quoted = false;
  for (let at = 0; at < caret; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') quoted = !quoted;
    else if (/\s/.test(text[at]) && !quoted) start = at + 1;
  }
  return { start, text: text.slice(start, caret) };
}

/** Quote a value for use after a field name. */
export const written = (value) => (/[\s"]/.test(value) ? `"${value.replace(/[\\"]/g, '\\$&')}"` : value.replace(/\\/g, '\\\\'));

const KINDS = ['speech', 'subtitles', 'ocr', 'tags'];

/**
 * Return suggestions: [{icon, label, detail, insert, whole}]. `whole` replaces the query and
 * searches; a suggestion that ends with `:` is to be completed.
 */
export async function suggest(text, caret, signal) {
  const { start, text: typed } = token(text, caret);
  const minus = typed.startsWith('-') ? '-' : '';
  const word = typed.slice(minus.length);
  const found = [];
  const add = (name, label, detail, insert, whole = false) => found.push({ icon: name, label, detail, insert: whole ? insert : minus + insert, whole, start });

  if (word.startsWith('@')) {
    for (const one of fits(syntax.saved_searches, word.slice(1), (saved) => saved.name)) add('saved', `@${one.name}`, one.query, `@${one.name}`);
    return found.slice(0, SHOWN);
  }
  const [, name, value] = /^([a-z]+):(.*)$/is.exec(word) ?? [];
  if (name) {
    const values = await valuesOf(name.toLowerCase(), value.replace(/^"/, ''), signal);
    for (const [label, detail, exact] of values) add('filter', `${name}:${label}`, detail, `${name}:${written(exact ?? label)}`);
    const filter = syntax.filters.find((one) => one.name.replace(/:$/, '') === name.toLowerCase());
    if (filter && !values.length) found.push({ icon: 'filter', label: filter.example, detail: filter.description, hint: true });
    return found.slice(0, SHOWN);
  }
  const all = text.trim().toLowerCase();
  for (const one of recent().filter((query) => query.toLowerCase().startsWith(all) && query.toLowerCase() !== all).slice(0, all ? 4 : 5)) add('recent', one, '', one, true);
  if (!all) {
    for (const saved of syntax.saved_searches.slice(0, 4)) add('saved', `@${saved.name}`, saved.query, `@${saved.name}`, true);
  }
  if (word || !all) {
    for (const filter of syntax.filters.filter((one) => one.name.startsWith(word.toLowerCase())).slice(0, all ? 4 : 6)) {
      const plain = filter.name.replace(/:$/, '');
      add('filter', `${plain}:`, `${filter.description}, e.g. ${filter.example}`, `${plain}:`);
    }
  }
  if (word.length > 1) {
    for (const tag of fits(syntax.tags, word, (one) => one).slice(0, 3)) add('tag', `tag:${tag}`, 'only with this tag', `tag:${written(tag)}`);
  }
  return found.slice(0, SHOWN);
}

async function valuesOf(name, value, signal) {
  if (name === 'tag') return fits(syntax.tags, value, (one) => one).map((one) => [one, '']);
  if (name === 'model') return fits(syntax.models, value, (one) => one).map((one) => [one, '']);
  if (name === 'has') return fits(KINDS, value, (one) => one).map((one) => [one, '']);
  if (name === 'path' && !/[*?[]/.test(value)) {
    const page = await api.get('/videos', { q: value, limit: SHOWN }, signal);
    return page.items.map((video) => [video.name, video.path, video.path]);
  }
  return [];
}

function fits(all, typed, text) {
  const wanted = typed.toLowerCase();
  const begins = all.filter((one) => text(one).toLowerCase().startsWith(wanted));
  return [...begins, ...all.filter((one) => !begins.includes(one) && text(one).toLowerCase().includes(wanted))].slice(0, SHOWN);
}
