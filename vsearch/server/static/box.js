// The search box: query text, attached images and clips, and suggestions.

import * as api from './api.js';
import { $, clock, el, icon, percent, toast, tool } from './dom.js';
import { suggest } from './suggestions.js';

const MEDIA = /(?:^|(?<=\s))(-?)((?:\d*\.?\d+:)?)(image|clip):((?:upload|video):[\w-]+)((?:@[\d:.]+-[\d:.]+)?)(?=\s|$)/g;
const MAX_FILES = 4; // dropped together

let hooks = {}; // ask(query), down(), receive()
let attached = []; // {text, kind, label, picture, share, stop, error}: images and clips next to the text
const named = new Map(); // source → {label, picture} of uploads and makeChip moments

export function begin(given) {
  hooks = given;
  const form = $('search');
  const input = $('q');
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(); });
  input.addEventListener('input', () => { mirror(); showSuggestions(); });
  input.addEventListener('click', () => { isWaiting = false; showSuggestions(); });
  input.addEventListener('blur', () => setTimeout(() => { if (!form.contains(document.activeElement)) close(); }, 120));
  input.addEventListener('keydown', onKey);
  $('clear').addEventListener('click', () => { set(''); input.focus(); hooks.ask(''); });
  $('attach').addEventListener('click', () => { warm(); $('file').click(); });
  $('file').addEventListener('change', (event) => { add([...event.target.files]); event.target.value = ''; });
  $('suggestions').addEventListener('pointerdown', (event) => event.preventDefault()); // keeps the focus in the box
  $('suggestions').addEventListener('click', (event) => {
    const item = event.target.closest('[role=option]');
    if (item) acceptSuggestion(shownSuggestions[Number(item.dataset.at)]);
  });
  listenForFiles();
}

// --- the query as text

/** Return the complete query. */
export function query() {
  return [...attached.filter((one) => one.text).map((one) => one.text), $('q').value.trim()].filter(Boolean).join(' ');
}

/** Show a query in the box. */
export function set(text) {
  const found = [];
  const words = text.replace(MEDIA, (whole, minus, weight, kind, source, part) => {
    found.push(makeChip(whole, minus, weight, kind, source, part));
    return ' ';
  });
  attached = [...found, ...attached.filter((one) => !one.text && !one.error)]; // keep uploads in progress
  $('q').value = words.replace(/\s+/g, ' ').trim();
  draw();
  close();
}

/** Focus the box of the start page. Until the user types, `/` is the key that focuses it. */
export function wait() {
  $('q').focus();
  isWaiting = true;
}
let isWaiting = false;

/** Return true if a query token is shown as a chip in the box. */
export const holds = (text) => attached.some((one) => one.text === text.trim());

/** Add a clip to the query. */
export function attach(text, label, picture) {
  const [, , , kind, source, part] = [...text.matchAll(MEDIA)][0];
  named.set(source + part, { label, picture });
  attached = attached.filter((one) => one.text !== text);
  attached.push(makeChip(text, '', '', kind, source, part));
  draw();
}

function makeChip(text, minus, weight, kind, source, part) {
  const [from, id] = source.split(':');
  const known = named.get(source + part) ?? named.get(source);
  const start = part ? seconds(part.slice(1).split('-')[0]) : 0;
  const picture = known?.picture ?? (from === 'upload' ? api.uploadThumbnail(id) : api.thumbnail(id, start, 160));
  const label = known?.label ?? (kind === 'image' ? 'image' : from === 'upload' ? 'clip' : 'moment');
  return { text, kind, picture, label: (minus ? 'not ' : '') + label + (part ? ` ${part.slice(1)}` : ''), weight };
}

const seconds = (text) => text.split(':').reduce((sum, one) => sum * 60 + Number(one), 0) || 0;

function submit() {
  const shown = at >= 0 ? shownSuggestions[at] : null;
  if (shown && !shown.hint && !$('suggestions').hidden) acceptSuggestion(shown);
  else if (attached.some((one) => one.share !== undefined && !one.error)) toast('Still uploading. The search starts when the upload is complete.');
  else ask();
}

function ask() {
  close();
  hooks.ask(query());
}

// --- chips

function draw() {
  $('attached').replaceChildren(...attached.map(chip));
  $('attached').hidden = !attached.length;
  mirror();
}

function mirror() {
  $('clear').hidden = !$('q').value && !attached.length;
}

function chip(one) {
  const picture = one.picture ? el('img', { src: one.picture, alt: '' }) : el('span', { class: 'blank' }, icon(one.kind === 'clip' ? 'film' : 'picture'));
  picture.addEventListener('error', () => picture.replaceWith(el('span', { class: 'blank' }, icon('picture'))));
  const state = one.error ?? (one.share === undefined ? one.label : one.share < 1 ? `${one.label} ${percent(one.share)}` : `${one.label}, processing…`);
  const node = el('span', { class: one.error ? 'chip media failed' : 'chip media', 'data-testid': 'chip-media', role: one.error ? 'alert' : null, title: one.error ?? one.label },
    picture, el('span', { class: 'label' }, state),
    tool('close', `Remove ${one.label}`, () => { one.stop?.(); attached = attached.filter((other) => other !== one); draw(); if (one.text) hooks.ask(query()); }));
  if (one.share !== undefined && !one.error) {
    const bar = el('span', { class: 'bar', role: 'progressbar', 'aria-label': `Uploading ${one.label}`, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(one.share * 100) });
    bar.style.inlineSize = `${one.share * 100}%`;
    node.append(bar);
  }
  return node;
}

// --- files

/** Upload files and search with them. */
export async function add(files) {
  if (!files.length) return;
  if (files.length > MAX_FILES) toast(`At most ${MAX_FILES} files at once. The others were ignored.`);
  const uploaded = await Promise.all(files.slice(0, MAX_FILES).map(send));
  if (uploaded.some(Boolean)) ask();
}

async function send(file) {
  const clip = file.type.startsWith('video/') || file.type === 'image/gif';
  const one = { kind: clip ? 'clip' : 'image', label: file.name || 'pasted image', share: 0 };
  if (/^image\/(?!hei)/.test(file.type)) one.picture = URL.createObjectURL(file);
  attached.push(one);
  draw();
  const sent = api.upload(file, (share) => { one.share = share; draw(); });
  one.stop = sent.stop;
  try {
    const upload = await sent.done;
    const source = `upload:${upload.upload_id}`;
    named.set(source, { label: upload.duration ? `${upload.name}, ${clock(upload.duration)}` : upload.name, picture: one.picture ?? api.uploadThumbnail(upload.upload_id) });
    Object.assign(one, makeChip(`${upload.kind}:${source}`, '', '', upload.kind, source, ''), { kind: upload.kind, share: undefined, stop: undefined });
    draw();
    return true;
  } catch (error) {
    if (error.name !== 'AbortError') Object.assign(one, { error: (error.detail ?? error.message).startsWith(one.label) ? error.detail : `${one.label}: ${error.detail ?? error.message}`, share: undefined });
    draw();
    return false;
  }
}

let isWarm = false;

/** Have the server load its model for pictures while the user still drags or chooses one. */
function warm() {
  if (isWarm) return;
  isWarm = true;
  api.post('/warm-up').catch(() => { isWarm = false; });
}

/** Handle files dropped anywhere, and pasted files. */
function listenForFiles() {
  let depth = 0;
  const carries = (event) => event.dataTransfer?.types.includes('Files');
  const over = (on) => { $('drop').hidden = !on; };
  addEventListener('dragenter', (event) => { if (carries(event)) { event.preventDefault(); depth += 1; over(true); warm(); } });
  addEventListener('dragover', (event) => { if (carries(event)) { event.preventDefault(); event.dataTransfer.dropEffect = 'copy'; } });
  addEventListener('dragleave', (event) => { if (carries(event)) { depth = Math.max(0, depth - 1); over(depth > 0); } });
  addEventListener('drop', (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    hooks.receive();
    add([...event.dataTransfer.files]);
  });
  addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => /^(image|video)\//.test(file.type));
    if (!files.length) return;
    event.preventDefault();
    hooks.receive();
    add(files);
  });
}

// --- suggestions

let shownSuggestions = [];
let at = -1; // index of the suggestion selected with the keyboard
let asking = null;

async function showSuggestions() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const input = $('q');
  const found = await suggest(input.value, input.selectionStart ?? input.value.length, signal).catch(() => []);
  if (signal.aborted || document.activeElement !== input) return;
  shownSuggestions = found;
  at = -1;
  $('suggestions').replaceChildren(...found.map((one, n) => el('li', { role: 'option', id: `suggestion-${n}`, 'aria-selected': 'false', data: { at: n }, class: one.hint ? 'hint' : null },
    icon(one.icon), el('span', { class: 'label' }, one.label), one.detail && el('span', { class: 'detail' }, one.detail))));
  open(found.length > 0);
}

function open(on) {
  $('suggestions').hidden = !on;
  $('q').setAttribute('aria-expanded', String(on));
  if (!on) $('q').removeAttribute('aria-activedescendant');
}

export function close() {
  asking?.abort();
  at = -1;
  open(false);
}

function choose(to) {
  at = to;
  [...$('suggestions').children].forEach((node, n) => {
    node.setAttribute('aria-selected', String(n === at));
    if (n === at) node.scrollIntoView({ block: 'nearest' });
  });
  if (at < 0) $('q').removeAttribute('aria-activedescendant');
  else $('q').setAttribute('aria-activedescendant', `suggestion-${at}`);
}

function acceptSuggestion(one) {
  if (!one || one.hint) return;
  const input = $('q');
  if (one.whole) {
    set(one.insert);
    ask();
    return;
  }
  const caret = input.selectionStart ?? input.value.length;
  const more = one.insert.endsWith(':') ? '' : ' ';
  const behind = input.value.slice(caret).replace(/^\S*\s*/, '');
  input.value = input.value.slice(0, one.start) + one.insert + more + behind;
  const to = one.start + one.insert.length + more.length;
  input.focus();
  input.setSelectionRange(to, to);
  mirror();
  if (more) close();
  else showSuggestions();
}

function onKey(event) {
  const shown = !$('suggestions').hidden;
  if (event.isComposing) return;
  if (isWaiting && event.key === '/' && !$('q').value) {
    event.preventDefault();
    return;
  }
  isWaiting = false;
  if (event.key === 'ArrowDown' && !shown) {
    event.preventDefault();
    if ($('q').value || !hooks.down()) showSuggestions();
    if ($('q').value) hooks.down();
  } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && shown) {
    event.preventDefault();
    const last = shownSuggestions.length - 1;
    const to = event.key === 'ArrowDown' ? at + 1 : at - 1;
    choose(to > last ? -1 : to < -1 ? last : to);
  } else if (event.key === 'Tab' && shown && at >= 0 && !event.shiftKey) {
    event.preventDefault();
    acceptSuggestion(shownSuggestions[at]);
  } else if (event.key === 'Escape') {
    event.stopPropagation();
    if (shown) close();
    else if (hooks.down()) event.preventDefault();
    else $('q').blur();
  } else if (event.key === 'Backspace' && attached.length && $('q').selectionStart === 0 && $('q').selectionEnd === 0) {
    const last = attached.pop();
    last.stop?.();
    draw();
  }
}
