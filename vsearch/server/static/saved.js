// The dialog for saved searches.

import * as api from './api.js';
import { $, el, failed, tool } from './dom.js';
import { link, where } from './route.js';
import * as suggestions from './suggestions.js';

/** Open the dialog; `search` is the response to save, or null. */
export async function open(search, hooks) {
  const dialog = $('save-dialog');
  const wrong = el('p', { class: 'wrong', role: 'alert', hidden: true });
  const list = el('ul', { class: 'saved-list', role: 'list', 'data-testid': 'saved-list' });
  const name = el('input', { type: 'text', required: true, maxlength: 64, pattern: '[\\w\\-]+', title: 'Letters, digits, _ and -', spellcheck: 'false', autocomplete: 'off', value: suggested(), 'data-testid': 'save-name' });
  const form = search && el('form', { method: 'dialog', onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.put(`/saved-searches/${encodeURIComponent(name.value.trim())}`, /\blike:#/.test(where().q) ? { search_id: search.search_id } : { q: where().q });
      wrong.hidden = true;
      await hooks.changed();
      draw();
      name.value = '';
    } catch (error) {
      wrong.textContent = error.detail;
      wrong.hidden = false;
    }
  } }, el('p', {}, where().q), el('label', { class: 'field' }, 'Name', name), wrong, el('p', { class: 'ends' }, el('button', { type: 'submit', class: 'button primary', 'data-testid': 'save-go' }, 'Save')));

  const draw = () => list.replaceChildren(...suggestions.known().saved_searches.map((one) => el('li', { 'data-testid': 'saved' },
    el('a', { href: link({ q: `@${one.name}` }), onclick: (event) => { event.preventDefault(); dialog.close(); hooks.ask(`@${one.name}`); } }, el('b', {}, `@${one.name}`), el('small', { title: one.query }, one.query)),
    tool('trash', `Delete @${one.name}`, async () => {
      try {
        await api.remove(`/saved-searches/${encodeURIComponent(one.name)}`);
        await hooks.changed();
        draw();
      } catch (error) { failed(error); }
    }, { 'data-testid': 'saved-remove' }))));

  draw();
  dialog.replaceChildren(...[el('div', { class: 'head' }, el('h2', { id: 'save-title' }, search ? 'Save this search' : 'Saved searches'), tool('close', 'Close', () => dialog.close())), form, list].filter(Boolean));
  dialog.showModal();
  if (form) name.select();
}

function suggested() {
  return ($('q').value.toLowerCase().match(/[a-z0-9]+/g) ?? []).slice(0, 3).join('-').slice(0, 40);
}
