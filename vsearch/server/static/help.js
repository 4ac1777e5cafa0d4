// The help dialog: keyboard shortcuts and query syntax.

import { $, el, tool } from './dom.js';
import * as suggestions from './suggestions.js';

const KEYS = [
  ['Anywhere', [['/', 'Search box'], ['l', 'Library'], ['?', 'This help'], ['Esc', 'Close, back']]],
  ['Results', [['\u2190 \u2191 \u2192 \u2193', 'Move between results'], ['Enter', 'Open'], ['u d', 'Thumb up, down'], ['s', 'Search with this moment'], ['x', 'Select'], ['e', 'Export']]],
  ['Library', [['\u2190 \u2191 \u2192 \u2193', 'Move between videos'], ['PageUp PageDown', 'A screen up, down'], ['Home End', 'Start, end of a row (with Ctrl: of all)'], ['Enter', 'Open']]],
  ['Player', [['Space', 'Play, pause'], ['n p', 'Next, previous moment'], ['N P', 'Next, previous video'], ['\u2190 \u2192', 'Seek 5 seconds (with Shift: 1)'], [', .', 'One frame'], ['< >', 'Slower, faster'], ['\u2191 \u2193 m', 'Volume'], ['r', 'Loop the moment'], ['f', 'Full screen'], ['c', 'Copy a link'], ['/', 'Search the transcript']]],
];
const LANGUAGE = [
  ['a dog jumps into a pool', 'Describe what is visible, spoken or written'],
  ['"a dog" 2:"a pool" -indoor', 'Phrase, double weight, exclusion'],
  ['a kitchen without people', 'The same as a kitchen -people'],
  ['a dog runs then:<30s "a splash"', 'One event after another, within 30 seconds'],
  ['said:"thank you" shown:EXIT', 'Only speech, or only text on the screen'],
  ['like:#3 -like:#1', 'More like result 3, less like result 1'],
  ['@name', 'A saved search, alone or within a query'],
];

/** Open the dialog. */
export function open() {
  const dialog = $('help');
  const filters = suggestions.known().filters.map((one) => [one.example, one.description]);
  const rows = (all) => el('dl', { class: 'language' }, all.map(([query, what]) => [el('dt', {}, el('code', {}, query)), el('dd', {}, what)]));
  dialog.replaceChildren(
    el('div', { class: 'head' }, el('h2', { id: 'help-title', tabindex: -1, autofocus: true }, 'Help'), tool('close', 'Close', () => dialog.close())),
    el('h3', {}, 'Query syntax'), rows(LANGUAGE),
    el('p', {}, 'To search with an image or clip, drop it anywhere, paste it, or use the button in the search box.'),
    filters.length > 0 && el('h3', {}, 'Filters'), filters.length > 0 && rows(filters),
    ...KEYS.flatMap(([title, keys]) => [el('h3', {}, title), el('ul', { class: 'keys', role: 'list' }, keys.map(([key, what]) => el('li', {}, el('span', {}, what), el('span', {}, key.split(' ').map((one, at) => [at ? ' ' : '', el('kbd', {}, one)])))))]));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}
