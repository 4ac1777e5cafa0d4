// Element creation and formatting of times and sizes. Text is never parsed as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** Create an element. `on…` are listeners; null and false are skipped; children are nodes or text. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(made.dataset, value);
    else if (name in FIELDS) made[name] = value;
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const FIELDS = { value: 1, checked: 1, muted: 1, indeterminate: 1, disabled: 1, hidden: 1 };

export const $ = (id) => document.getElementById(id);

/** Create an icon defined in the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Create an icon button with an accessible label. */
export function tool(name, label, onclick, props = {}) {
  return el('button', { type: 'button', class: 'tool', 'aria-label': label, title: label, onclick, ...props }, icon(name));
}

/** Return text with highlighted words, as nodes. */
export function marked(text, words) {
  const wanted = words.filter((word) => word.length > 1).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (!wanted.length) return [text];
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${wanted.join('|')})(?:s|es|ed|ing)?(?![\\p{L}\\p{N}])`, 'giu');
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(found)) {
    if (match.index > from) parts.push(text.slice(from, match.index));
    parts.push(el('mark', {}, match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/** Format a time as `1:05` or `1:02:03`, optionally with tenths. */
export function clock(seconds, tenths = false) {
  const all = Math.max(0, tenths ? Math.floor(seconds * 10 + 1e-6) / 10 : Math.floor(seconds + 1e-6));
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  const rest = tenths ? (all % 60).toFixed(1).padStart(4, '0') : String(Math.floor(all % 60)).padStart(2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** Format a time range as `0:03 – 0:08`, rounded outward to whole seconds as on the command line. */
export const range = (start, end) => `${clock(start)} – ${clock(Math.ceil(Math.round(end * 1000) / 1000))}`;

/** Format a duration as `42 s`, `5 min` or `1 h 20 min`. */
export function length(seconds) {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** Format a size as `1.2 MB`. */
export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  for (; bytes >= 1000 && at < units.length - 1; at += 1) bytes /= 1000;
  return `${bytes < 10 && at ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

/** Format a count as `1 video` or `1,234 videos`. */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

/** Format a share as `83 %`. */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** Announce text to screen readers. */
export function announce(text) {
  $('announcer').textContent = text;
}

/** Show a short message that disappears. */
export function toast(text, action) {
  const note = el('div', { class: 'toast', 'data-testid': 'toast' }, el('span', {}, text));
  if (action) note.append(el('button', { type: 'button', class: 'quiet', onclick: () => { action.run(); note.remove(); } }, action.label));
  const place = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body;
  place.append(note);
  announce(text);
  setTimeout(() => note.remove(), action ? 8000 : 4000);
}

/** Show an error as a message. */
export function failed(error) {
  toast(error.detail ?? error.message);
}

/** Copy text to the clipboard, also in insecure contexts. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea', { class: 'hidden', value: text });
    ([...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

/** Return true if keys typed in the element are text. */
export const types = (node) => node instanceof Element
  && (node.matches('textarea, select, [contenteditable]')
    || (node.matches('input') && !['checkbox', 'radio', 'range', 'button'].includes(node.type)));

/** Return true if the user prefers reduced motion. */
export const prefersReducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
