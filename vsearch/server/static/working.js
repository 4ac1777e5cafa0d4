// Jobs: followed over one event stream, open only while needed.

import * as api from './api.js';
import { el, failed, icon } from './dom.js';

const known = new Map(); // id → job, newest first
let stop = null;
let hooks = {};

/** Follow all jobs; dispatches `vsearch:jobs` after each change. */
export async function follow(given) {
  hooks = given ?? hooks;
  const response = await api.get('/jobs');
  for (const job of response.items.toReversed()) known.set(job.job_id, job);
  notify();
  stop ??= api.follow('/jobs/events', onJob);
}

function onJob(job) {
  const before = known.get(job.job_id);
  known.set(job.job_id, job);
  notify();
  if (before && ended(job) && !ended(before) && job.kind !== 'export') hooks.changed?.();
  if (![...known.values()].some((one) => !ended(one)) && !document.getElementById('jobs')) close();
}

/** Add a new job. */
export function add(job) {
  known.set(job.job_id, job);
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
  try { await api.remove(`/jobs/${job.job_id}`); } catch (error) { failed(error); }
}

/** Create download links for the files of a job. */
export const files = (job) => el('div', { class: 'files' }, job.files.map((one) => el('a', { href: api.resolve(one.url), download: one.name, 'data-testid': 'export-file' }, icon('export'), one.name, el('small', {}, bytes(one.size)))));
const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : `${(n / 1e6).toFixed(1)} MB`);
