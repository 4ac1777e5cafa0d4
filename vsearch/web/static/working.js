// Jobs as they go on: told over one connection, which is open only while somebody may want to know.

import * as api from './api.js';
import { count, el, failed, icon, length, percent } from './dom.js';

const known = new Map(); // id → job, newest first
let stop = null;
let hooks = {};

/** Follow all jobs from now on; `vsearch:jobs` tells of each change. */
export async function follow(given) {
  hooks = given ?? hooks;
  const told = await api.get('/jobs');
  for (const job of told.items.toReversed()) known.set(job.id, job);
  tell();
  stop ??= api.follow('/jobs/events', heard);
}

function heard(job) {
  const before = known.get(job.id);
  known.set(job.id, job);
  tell();
  if (before && ended(job) && !ended(before) && job.kind === 'index') hooks.changed?.();
  if (![...known.values()].some((one) => !ended(one)) && !document.getElementById('jobs')) close();
}

/** Take in a job that was just made. */
export function add(job) {
  known.set(job.id, job);
  tell();
}

export const ended = (job) => !['waiting', 'running'].includes(job.state);

export const jobs = () => [...known.values()].reverse();

function close() {
  stop?.();
  stop = null;
}

addEventListener('pagehide', close);

function tell() {
  hooks.jobs?.(jobs());
  document.dispatchEvent(new CustomEvent('vsearch:jobs'));
}

/** Stop a job. */
export async function end(job) {
  try { await api.remove(`/jobs/${job.id}`); } catch (error) { failed(error); }
}

const STATES = { waiting: 'Waiting', running: 'Running', done: 'Done', failed: 'Failed', stopped: 'Stopped' };

/** A job as it is shown. */
export function card(job) {
  const running = !ended(job);
  const bar = el('div', { class: `gauge ${job.state}`, role: 'progressbar', 'aria-label': job.title, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(job.share * 100) }, el('span'));
  bar.firstChild.style.inlineSize = `${Math.max(running ? 1 : 0, (job.state === 'done' ? 1 : job.share) * 100)}%`;
  const counts = Object.entries(job.counts ?? {}).filter(([, n]) => n).map(([outcome, n]) => `${n.toLocaleString('en')} ${outcome}`).join(', ');
  const now = [running && job.state === 'running' ? percent(job.share) : STATES[job.state], job.remaining !== null && job.remaining !== undefined && running ? `${length(job.remaining)} left` : '', counts].filter(Boolean).join(' \u00b7 ');
  return el('li', { class: 'job', 'data-testid': 'job', data: { state: job.state, id: job.id, share: job.share } },
    el('div', { class: 'line' }, el('b', {}, job.title), el('span', { class: 'grow' }), running && el('button', { type: 'button', class: 'quiet', 'data-testid': 'job-stop', onclick: () => end(job) }, 'Stop')),
    (running || job.state !== 'done') && bar,
    el('p', { class: 'soft', 'data-testid': 'job-state' }, now, running && job.current && el('span', {}, ` \u00b7 ${job.current}`)),
    job.error && el('p', { class: 'wrong', role: 'alert' }, job.error),
    job.errors?.length > 0 && el('details', { 'data-testid': 'job-errors', data: { job: job.id } }, el('summary', {}, `${count(job.errors.length, 'file')} could not be read`),
      el('ul', {}, job.errors.map((one) => el('li', {}, el('b', {}, one.name), ' ', el('span', { class: 'soft' }, bare(one)))))),
    job.kind === 'export' && job.files?.length > 0 && files(job));
}

/** What is wrong, without the path before it. */
const bare = ({ path, error }) => (error.startsWith(`${path}: `) ? error.slice(path.length + 2) : error);

/** What a job has made. */
export const files = (job) => el('div', { class: 'files' }, job.files.map((one) => el('a', { href: one.url, download: one.name, 'data-testid': 'export-file' }, icon('export'), one.name, el('small', {}, bytes(one.size)))));
const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : `${(n / 1e6).toFixed(1)} MB`);
