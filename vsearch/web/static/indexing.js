// Choosing folders to index, and how closely to look.

import * as api from './api.js';
import { $, count, el, icon, tool } from './dom.js';
import { go } from './route.js';
import * as working from './working.js';

const WAYS = [
  ['exact', 'Thorough', 'One frame a second is looked at'],
  ['progressive', 'Quick, then thorough', 'Everything is soon found, and later exactly'],
  ['fast', 'Key frames only', 'Fastest; moments between them are not seen'],
];
const WORDS = [
  ['transcribe', 'Hear what is spoken', 'With Whisper, where it is installed'],
  ['read', 'Read text on the screen', 'Where OCR is installed'],
];

/** Open the dialog. */
export async function open(hooks) {
  const dialog = $('index-dialog');
  const chosen = new Map(); // id → folder
  const start = el('button', { type: 'submit', class: 'button primary', 'data-testid': 'index-start', disabled: true }, 'Start');
  const wrong = el('p', { class: 'wrong', role: 'alert', hidden: true });
  const tree = el('div', { class: 'tree', role: 'group', 'aria-label': 'Folders', 'data-testid': 'folders' }, el('p', {}, 'Looking\u2026'));
  const pick = (folder, on) => {
    if (on) chosen.set(folder.id, folder);
    else chosen.delete(folder.id);
    start.disabled = !chosen.size;
  };
  const form = el('form', { method: 'dialog', onsubmit: (event) => { event.preventDefault(); send(form, [...chosen.keys()], wrong, hooks); } },
    el('div', { class: 'head' }, el('h2', { id: 'index-title' }, 'Index a folder'), tool('close', 'Close', () => dialog.close())),
    el('p', {}, 'Every video in it, and in the folders below, is looked at once. What is known already is passed over.'),
    tree, way(), words(), wrong,
    el('p', { class: 'ends' }, el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'), start));
  dialog.replaceChildren(form);
  dialog.showModal();
  try {
    const { items } = await api.get('/folders');
    tree.replaceChildren(items.length
      ? el('ul', { role: 'list' }, items.map((folder) => node(folder, pick)))
      : el('p', {}, 'No folder is open to this page. Start ', el('code', {}, 'vsearch serve ~/Movies'), ' to name one.'));
    tree.querySelector('input')?.focus();
  } catch (error) {
    tree.replaceChildren(el('p', { class: 'wrong' }, error.detail));
  }
}

const way = () => el('fieldset', {}, el('legend', {}, 'How closely'), WAYS.map(([value, title, what], at) => el('label', { class: 'choice' },
  el('input', { type: 'radio', name: 'way', value, checked: at === 0, 'data-testid': `index-${value}` }), el('b', {}, title), el('small', {}, what))));

const words = () => el('fieldset', {}, el('legend', {}, 'Words'), WORDS.map(([name, title, what]) => el('label', { class: 'choice' },
  el('input', { type: 'checkbox', name, 'data-testid': `index-${name}` }), el('b', {}, title), el('small', {}, what))));

/** A folder with a box, and a button that shows what is in it. */
function node(folder, pick) {
  const below = el('ul', { role: 'list', hidden: true });
  const box = el('input', { type: 'checkbox', 'data-testid': 'folder', onchange: () => pick(folder, box.checked) });
  const leaf = Array.isArray(folder.folders) && !folder.folders.length;
  const twist = el('button', { type: 'button', class: leaf ? 'twist leaf' : 'twist', 'aria-expanded': 'false', 'aria-label': `Folders in ${folder.name}`, onclick: () => unfold() }, icon('chevron'));
  const unfold = async () => {
    const on = twist.getAttribute('aria-expanded') !== 'true';
    twist.setAttribute('aria-expanded', String(on));
    below.hidden = !on;
    if (!on || below.childElementCount) return;
    try {
      const told = await api.get(`/folders/${encodeURIComponent(folder.id)}`);
      below.replaceChildren(...told.folders.map((one) => node(one, pick)));
      twist.classList.toggle('leaf', !told.folders.length);
      if (!told.folders.length) below.hidden = true;
      if (told.videos !== undefined) note.textContent = told.videos ? count(told.videos, 'video') : '';
    } catch (error) {
      below.replaceChildren(el('li', { class: 'wrong' }, error.detail));
    }
  };
  const note = el('small', {}, folder.videos ? count(folder.videos, 'video') : '');
  return el('li', {}, el('div', { class: 'node' }, twist, el('label', { title: folder.path ?? null }, box, el('span', {}, folder.name), note)), below);
}

async function send(form, folders, wrong, hooks) {
  const asked = new FormData(form);
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  wrong.hidden = true;
  try {
    const job = await api.post('/jobs', {
      kind: 'index', folders, fast: asked.get('way') === 'fast', progressive: asked.get('way') === 'progressive', transcribe: asked.has('transcribe'), read: asked.has('read'),
    });
    working.add(job);
    $('index-dialog').close();
    go({ view: 'library', v: 0, t: null });
    working.follow(hooks);
  } catch (error) {
    wrong.textContent = error.detail ?? error.message;
    wrong.hidden = false;
    button.disabled = false;
  }
}
