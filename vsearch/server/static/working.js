// Jobs: followed over one event stream, open only while needed.

import * as api from './api.js';
import { count, el, failed, icon, length, percent } from './dom.js';

const known = new Map(); // id → job, newest first
let stop = null;
let hooks = {};

/** Follow all jobs; dispatches `vsearch:jobs` after each change. */
export async function follow(given) {
  hooks = given ?? hooks;
  const response = await api.get('/jobs');
  for (const job of response.items.toReversed()) known.set(job.id, job);
  notify();
  stop ??= api.follow('/jobs/events', onJob);
}

function onJob(job) {
  const before = known.get(job.id);
  known.set(job.id, job);
  notify();
  if (before && ended(job) && !ended(before) && job.kind === 'index') hooks.changed?.();
  if (![...known.values()].some((one) => !ended(one)) && !document.getElementById('jobs')) close();
}

/** Add a new job. */
export function add(job) {
  known.set(job.id, job);
  notify();
}

export const ended = (job) => !['waiting', 'running'].includes(job.state);

export const jobs = () => [...known.values()].reverse();

function close() {
  stop?.();
  stop = null;
}

addEventListener('pagehide', close);

function notify() {
  hooks.jobs?.(jobs());
  document.dispatchEvent(new CustomEvent('vsearch:jobs'));
}

/** Stop a job. */
export async function end(job) {
  try { await api.remove(`/jobs/${job.id}`); } catch (error) { failed(error); }
}

const STATES = { waiting: 'Waiting', running: 'Running', done: 'Done', failed: 'Failed', stopped: 'Stopped' };

/** Create the card of a job. */
export function card(job) {
  const running = !ended(job);
  const bar = el('div', { class: `gauge ${job.state}`, role: 'progressbar', 'aria-label': job.title, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(job.progress * 100) }, el('span'));
  bar.firstChild.style.inlineSize = `${Math.max(running ? 1 : 0, (job.state === 'done' ? 1 : job.progress) * 100)}%`;
  const counts = Object.entries(job.counts ?? {}).filter(([, n]) => n).map(([outcome, n]) => `${n.toLocaleString('en')} ${outcome}`).join(', ');
  const now = [running && job.state === 'running' ? percent(job.progress) : STATES[job.state], job.eta_seconds !== null && job.eta_seconds !== undefined && running ? `${length(job.eta_seconds)} left` : '', counts].filter(Boolean).join(' \u00b7 ');
  return el('li', { class: 'job', 'data-testid': 'job', data: { state: job.state, id: job.id, progress: job.progress } },
    el('div', { class: 'line' }, el('b', {}, job.title), el('span', { class: 'grow' }), running && el('button', { type: 'button', class: 'quiet', 'data-testid': 'job-stop', onclick: () => end(job) }, 'Stop')),
    (running || job.state !== 'done') && bar,
    el('p', { class: 'soft', 'data-testid': 'job-state' }, now, running && job.current_file && el('span', {}, ` \u00b7 ${job.current_file}`)),
    job.error && el('p', { class: 'wrong', role: 'alert' }, job.error),
    job.errors?.length > 0 && el('details', { 'data-testid': 'job-errors', data: { job: job.id } }, el('summary', {}, `${count(job.errors.length, 'file')} failed`),
      el('ul', {}, job.errors.map((one) => el('li', {}, el('b', {}, one.name), ' ', el('span', { class: 'soft' }, bare(one)))))),
    job.kind === 'export' && job.files?.length > 0 && files(job));
}

/** Return the error without its leading path. */
const bare = ({ path, error }) => (error.startsWith(`${path}: `) ? error.slice(path.length + 2) : error);

/** Create download links for the files of a job. */
export const files = (job) => el('div', { class: 'files' }, job.files.map((one) => el('a', { href: one.url, download: one.name, 'data-testid': 'export-file' }, icon('export'), one.name, el('small', {}, bytes(one.size)))));
const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : `${(n / 1e6).toFixed(1)} MB`);
