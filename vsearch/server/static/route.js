// The URL holds the complete state, so that history, sharing and reloading work.

export const FIRST = 24; // results before "Show more"
export const MOST = 1000; // results of one search

const PLAIN = { q: '', k: FIRST, all: false, diversify: false, include_duplicates: false, p: '', filters: false, view: '', name: '', folder: '', lacking: '', sort: 'recorded', v: 0, t: null };

/** Parse the URL. `all` unfolds the less likely results, `filters` the filters; `p` is the search that `like:#3` refers to; `v` the playing video, from `t`. */
export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const number = (name, plain) => {
    const value = Number(given.get(name));
    return given.has(name) && Number.isFinite(value) && value >= 0 ? value : plain;
  };
  return {
    q: given.get('q')?.trim() ?? '',
    k: Math.min(MOST, Math.max(1, Math.round(number('k', FIRST)))),
    all: given.get('all') === '1',
    diversify: given.get('diversify') === '1',
    include_duplicates: given.get('include_duplicates') === '1',
    p: given.get('p') ?? '',
    filters: given.get('filters') === '1',
    view: given.get('view') === 'library' ? 'library' : '',
    name: given.get('name') ?? '',
    folder: given.get('folder') ?? '',
    lacking: ['speech', 'ocr'].includes(given.get('lacking')) ? given.get('lacking') : '',
    sort: given.get('sort') ?? 'recorded',
    v: number('v', 0),
    t: number('t', null),
  };
}

/** Return the URL of a state. */
export function link(where) {
  const given = new URLSearchParams();
  for (const [name, plain] of Object.entries(PLAIN)) {
    const value = where[name] ?? plain;
    if (value === plain || (['name', 'sort', 'folder', 'lacking'].includes(name) && !where.view)) continue;
    given.set(name, value === true ? '1' : typeof value === 'number' ? String(Math.round(value * 100) / 100) : value);
  }
  const text = given.toString();
  return text ? `./?${text}` : './';
}

const listeners = [];
let now = read();

export const where = () => now;

/** Call `listener(where, before)` after each change of the URL. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Change parts of the state. */
export function go(changes, { replace = false, quiet = false } = {}) {
  const before = now;
  now = { ...now, ...changes };
  const url = link(now);
  if (replace || new URL(url, location.href).search === location.search) history.replaceState({ ...history.state }, '', url);
  else history.pushState({ inside: true }, '', url);
  if (!quiet) listeners.forEach((listener) => listener(now, before));
}

/** Go back if that stays on this page, else replace the state. */
export function leave(changes) {
  if (history.state?.inside) history.back();
  else go(changes, { replace: true });
}

addEventListener('popstate', () => {
  const before = now;
  now = read();
  listeners.forEach((listener) => listener(now, before));
});
