// The index dialog: folders and options.

import * as api from './api.js';
import { $, count, el, icon, tool } from './dom.js';
import { go } from './route.js';
import * as working from './working.js';

const WAYS = [
  ['full', 'Full', 'Sample frames at regular intervals'],
  ['progressive', 'Progressive', 'Key frames first, then a full pass'],
  ['keyframes-only', 'Key frames only', 'Fastest, but misses moments between key frames'],
];
const WORDS = [
  ['transcribe', 'Transcribe speech', 'Finds what is said; takes longer than the pictures'],
  ['ocr', 'Read text on the screen', 'Finds signs, slides and titles'],
];

/** Open the dialog. */
export async function open(hooks) {
  const dialog = $('index-dialog');
  const chosen = new Map(); // id → folder
  const start = el('button', { type: 'submit', class: 'button primary', 'data-testid': 'index-start', disabled: true }, 'Start');
  const wrong = el('p', { class: 'wrong', role: 'alert', hidden: true });
  const tree = el('div', { class: 'tree', role: 'group', 'aria-label': 'Folders', 'data-testid': 'folders' }, el('p', {}, 'Loading\u2026'));
  const pick = (folder, on) => {
    if (on) chosen.set(folder.folder_id, folder);
    else chosen.delete(folder.folder_id);
    start.disabled = !chosen.size;
  };
  const form = el('form', { method: 'dialog', onsubmit: (event) => { event.preventDefault(); send(form, [...chosen.keys()], wrong, hooks); } },
    el('div', { class: 'head' }, el('h2', { id: 'index-title' }, 'Add videos'), tool('close', 'Close', () => dialog.close())),
    el('p', {}, 'Adds all videos and photos in a folder and its subfolders. Known ones are skipped; hidden files and trash are left out.'),
    tree, way(), words(hooks.about?.()?.permissions ?? {}), excludes(), wrong,
    el('p', { class: 'ends' }, el('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'), start));
  dialog.replaceChildren(form);
  dialog.showModal();
  try {
    const { items } = await api.get('/folders');
    tree.replaceChildren(items.length
      ? el('ul', { role: 'list' }, items.map((folder) => node(folder, pick)))
      : el('p', {}, 'This server has no folders to add. Its administrator chooses them when starting the server.'));
    tree.querySelector('input')?.focus();
  } catch (error) {
    tree.replaceChildren(el('p', { class: 'wrong' }, error.detail));
  }
}

const way = () => el('fieldset', {}, el('legend', {}, 'Frames'), WAYS.map(([value, title, what], at) => el('label', { class: 'choice' },
  el('input', { type: 'radio', name: 'way', value, checked: at === 0, 'data-testid': `index-${value}` }), el('b', {}, title), el('small', {}, what))));

const words = (can) => el('fieldset', {}, el('legend', {}, 'Words'), WORDS.map(([name, title, what]) => el('label', { class: 'choice' },
  el('input', { type: 'checkbox', name, disabled: can[name] === false, 'data-testid': `index-${name}` }), el('b', {}, title), el('small', {}, can[name] === false ? 'Not installed on this server; its administrator can add it' : what))));

const excludes = () => el('label', { class: 'field' }, 'Leave out (optional)', el('input', { type: 'text', name: 'excludes', maxlength: 2000, placeholder: 'Proxies/, *_draft.mp4', autocomplete: 'off', spellcheck: 'false', 'data-testid': 'index-excludes' }));

/** Create a folder entry with a checkbox and a button for its subfolders. */
function node(folder, pick) {
  const below = el('ul', { role: 'list', hidden: true });
  const box = el('input', { type: 'checkbox', 'data-testid': 'folder', onchange: () => pick(folder, box.checked) });
  const leaf = Array.isArray(folder.subfolders) && !folder.subfolders.length;
  const twist = el('button', { type: 'button', class: leaf ? 'twist leaf' : 'twist', 'aria-expanded': 'false', 'aria-label': `Folders in ${folder.name}`, onclick: () => unfold() }, icon('chevron'));
  const unfold = async () => {
    const on = twist.getAttribute('aria-expanded') !== 'true';
    twist.setAttribute('aria-expanded', String(on));
    below.hidden = !on;
    if (!on || below.childElementCount) return;
    try {
      const listing = await api.get(`/folders/${encodeURIComponent(folder.folder_id)}`);
      below.replaceChildren(...listing.subfolders.map((one) => node(one, pick)));
      twist.classList.toggle('leaf', !listing.subfolders.length);
      if (!listing.subfolders.length) below.hidden = true;
      if (listing.video_count !== undefined) note.textContent = listing.video_count ? count(listing.video_count, 'file') : '';
    } catch (error) {
      below.replaceChildren(el('li', { class: 'wrong' }, error.detail));
    }
  };
  const note = el('small', {}, folder.video_count ? count(folder.video_count, 'file') : '');
  return el('li', {}, el('div', { class: 'node' }, twist, el('label', { title: folder.path ?? null }, box, el('span', {}, folder.name), note)), below);
}

async function send(form, folders, wrong, hooks) {
  const fields = new FormData(form);
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  wrong.hidden = true;
  try {
    const job = await api.post('/jobs', {
      kind: 'index', folder_ids: folders, keyframes_only: fields.get('way') === 'keyframes-only', progressive: fields.get('way') === 'progressive', transcribe: fields.has('transcribe'), ocr: fields.has('ocr'),
      excludes: fields.get('excludes').split(',').map((one) => one.trim()).filter(Boolean),
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
