// The list of jobs in the library: what each does now, and the files that failed.

import * as api from './api.js';
import { count, el, failed, length, percent, toast, tool } from './dom.js';
import { add, end, ended, files, follow, jobs } from './working.js';

const ENDED_JOBS = 2; // finished ones shown, per kind
const EXPORTS = 20;

const hidden = new Set(); // ids of finished jobs that the user has hidden
const drawn = new Map(); // job id → { key, node }

/** Draw all jobs into a list; only those that changed are replaced. */
export function drawJobs(list, hooks) {
  const all = jobs().filter((job) => !hidden.has(job.job_id));
  const given = { ...hooks, hide: (job) => { hidden.add(job.job_id); drawJobs(list, hooks); } };
  const done = (kinds, most) => all.filter((job) => kinds.includes(job.kind) && ended(job)).slice(0, most);
  const shown = [...all.filter((job) => !ended(job)), ...done(['index', 'transcribe'], ENDED_JOBS)];
  const exports = done(['export'], EXPORTS);
  const kept = list.isConnected && list.childElementCount ? drawn : (drawn.clear(), drawn);
  for (const id of [...kept.keys()]) if (!shown.some((job) => job.job_id === id) && id !== 'exports') forget(id);
  const nodes = shown.map((job) => keep(job.job_id, job, () => card(job, given)));
  if (exports.length) nodes.push(keep('exports', exports, () => group(exports)));
  else forget('exports');
  list.hidden = !nodes.length;
  nodes.forEach((node, at) => { if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null); });
}

function forget(id) {
  drawn.get(id)?.node.remove();
  drawn.delete(id);
}

/** Return the node of a job, drawn again if the job has changed; open parts and the focus stay. */
function keep(id, state, draw) {
  const key = JSON.stringify(state);
  const known = drawn.get(id);
  if (known?.key === key) return known.node;
  const node = draw();
  if (known) {
    if (known.node.querySelector('details')?.open && node.querySelector('details')) node.querySelector('details').open = true;
    const focused = known.node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    known.node.replaceWith(node);
    if (focused) node.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
  }
  drawn.set(id, { key, node });
  return node;
}

const group = (exports) => el('li', {}, el('details', { class: 'exports', 'data-testid': 'exports' }, el('summary', { data: { focus: 'exports' } }, count(exports.length, 'export')),
  el('ul', { class: 'jobs', role: 'list' }, exports.map((job) => card(job, {})))));

// --- one job

const VERBS = { index: ['Adding', 'Added'], transcribe: ['Reading', 'Read'], export: ['Exporting', 'Exported'] };
const STATES = { failed: 'failed', stopped: 'stopped' };

/** Create the card of a job. */
export function card(job, hooks) {
  const running = !ended(job);
  const [now, then] = VERBS[job.kind];
  const isVain = job.state === 'done' && job.errors?.length > 0 && Object.keys(job.counts).every((outcome) => outcome.endsWith('failed'));
  const title = isVain ? `${now} ${job.title} failed` : job.state === 'done' ? `${then} ${job.title}` : running ? `${now} ${job.title}` : `${now} ${job.title} ${STATES[job.state]}`;
  return el('li', { class: 'job', 'data-testid': 'job', data: { state: job.state, id: job.job_id, progress: job.progress, phase: job.phase ?? '' } },
    el('div', { class: 'line' }, el('b', {}, title), el('span', { class: 'grow' }), running && el('button', { type: 'button', class: 'quiet', 'data-testid': 'job-stop', data: { focus: 'stop' }, onclick: () => end(job) }, 'Stop'), !running && hooks.hide && tool('close', `Hide ${title}`, () => hooks.hide(job), { 'data-testid': 'job-hide' })),
    running && gauge(job),
    el('p', { class: 'soft', 'data-testid': 'job-state' }, running ? describeNow(job) : describeEnd(job)),
    job.error && el('p', { class: 'wrong', role: 'alert' }, job.error),
    job.errors?.length > 0 && failures(job, hooks),
    job.kind === 'export' && job.files?.length > 0 && files(job));
}

function gauge(job) {
  const isKnown = job.phase === 'processing' || job.kind === 'export';
  const bar = el('div', { class: isKnown ? `gauge ${job.state}` : 'gauge unknown', role: 'progressbar', 'aria-label': job.title, 'aria-valuemin': isKnown ? 0 : null, 'aria-valuemax': isKnown ? 100 : null, 'aria-valuenow': isKnown ? Math.round(job.progress * 100) : null }, el('span'));
  if (isKnown) bar.firstChild.style.inlineSize = `${Math.max(1, job.progress * 100)}%`;
  return bar;
}

const DOING = { speech: 'Transcribing', ocr: 'Reading the screen', sound: 'Listening' };

/** Describe what a waiting or running job does, from its first second on. */
function describeNow(job) {
  if (job.state === 'waiting') return jobs().some((one) => one.state === 'running' && one.kind !== 'export') ? 'Waiting for another job' : 'Starting\u2026';
  if (job.kind === 'export') return `Writing\u2026 ${percent(job.progress)}`;
  const found = job.file_count ? `Found ${count(job.file_count, 'file')}` : '';
  if (job.phase === 'discovering') return found ? `Looking for videos\u2026 ${found.toLowerCase()}` : `Looking for videos in ${job.title}\u2026`;
  if (job.phase === 'loading') return [found, 'loading the model\u2026'].filter(Boolean).join(', ').replace(/^l/, 'L');
  const place = job.file_number ? `File ${job.file_number.toLocaleString('en')} of ${(job.file_count ?? 0).toLocaleString('en')}` : '';
  const left = job.eta_seconds !== null && job.eta_seconds !== undefined ? `${length(job.eta_seconds)} left` : '';
  return [DOING[job.stage], place, job.current_file, percent(job.progress), left].filter(Boolean).join(' \u00b7 ');
}

const OUTCOMES = {
  indexed: 'new', updated: 'updated', refined: 'refined', unchanged: 'already there', moved: 'moved', duplicate: 'duplicates', embedded: 'embedded',
  'speech words': 'with speech', 'speech nothing': 'without speech', 'speech known': 'already transcribed', 'speech failed': 'not transcribed',
  'ocr words': 'with text', 'ocr nothing': 'without text', 'ocr known': 'already read', 'ocr failed': 'not read', failed: 'failed', written: 'written',
};

function describeEnd(job) {
  const parts = Object.entries(job.counts ?? {}).filter(([, number]) => number).map(([outcome, number]) => `${number.toLocaleString('en')} ${OUTCOMES[outcome] ?? outcome}`);
  if (parts.length) return parts.join(' \u00b7 ');
  return job.state === 'stopped' ? 'Stopped; what was finished is kept' : job.state === 'done' && job.kind === 'index' ? 'No videos found' : '';
}

// --- failed files

function failures(job, hooks) {
  const total = job.errors.length + (job.errors_truncated ?? 0);
  const open = job.errors.filter((one) => !one.is_retried);
  const canRetry = job.kind !== 'export';
  return el('details', { 'data-testid': 'job-errors', open: ended(job) && total <= 3 },
    el('summary', { data: { focus: 'errors' } }, `${count(total, 'file')} failed`),
    canRetry && open.length > 1 && el('p', {}, el('button', { type: 'button', class: 'button', 'data-testid': 'retry-all', data: { focus: 'all' }, onclick: (event) => retry(job, null, event.currentTarget, hooks) }, 'Retry all')),
    el('ul', {}, job.errors.map((one) => el('li', { 'data-testid': 'job-error' }, el('div', {}, el('b', { title: one.path }, one.name), el('p', { class: 'soft' }, bare(one))),
      canRetry && (one.is_retried
        ? el('span', { class: 'soft', 'data-testid': 'retried' }, 'Tried again')
        : el('button', { type: 'button', class: 'quiet', 'data-testid': 'retry', data: { focus: `retry-${one.failure_id}` }, 'aria-label': `Retry ${one.name}`, onclick: (event) => retry(job, [one.failure_id], event.currentTarget, hooks) }, 'Retry'))))),
    job.errors_truncated > 0 && el('p', { class: 'soft' }, `and ${job.errors_truncated.toLocaleString('en')} more`));
}

async function retry(job, ids, button, hooks) {
  button.disabled = true;
  try {
    add(await api.post(`/jobs/${job.job_id}/retry`, { failure_ids: ids }));
    follow(hooks);
    toast(ids ? 'Trying again' : 'Trying all failed files again');
  } catch (error) {
    button.disabled = false;
    failed(error);
  }
}

/** Return the error without its leading path. */
const bare = ({ path, error }) => (error.startsWith(`${path}: `) ? error.slice(path.length + 2) : error);
