// Client for the REST API.

const BASE = 'api/v1'; // relative to the page, which a proxy may serve under a path
const RECONNECT_MS = 3000; // of a rejected event stream
const TRIES = 3; // of a request to a busy server

/** An error response, with a message for the user. */
export class Problem extends Error {
  constructor(status, kind, detail, retry = 0) {
    super(detail);
    Object.assign(this, { status, kind, detail, retry });
  }
}

/** Dispatches `gone` when the server stops responding, and `back` when it responds again. */
export const connection = new EventTarget();

let askToken = null; // () → a promise that resolves after sign-in
let signingIn = null;
let isGone = false;

export function onToken(ask) {
  askToken = ask;
}

/** Build a URL of the API; empty and false parameters are left out. */
export function address(path, query = {}) {
  const parameters = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
  const text = new URLSearchParams(parameters.map(([name, value]) => [name, String(value)])).toString();
  return BASE + path + (text ? `?${text}` : '');
}

/** Return the relative URL of a URL in a response, such as `/api/v1/exports/…`. */
export const resolve = (url) => url.slice(Math.max(0, url.indexOf(BASE)));

/** Send a request and return the JSON response. Throws Problem, or AbortError if aborted. */
export async function call(method, path, { query, body, signal } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(method, address(path, query), body, signal);
    if (response.ok) return response.status === 204 ? null : response.json();
    const problem = await readProblem(response);
    if (problem.status === 401 && askToken && path !== '/session') {
      signingIn ??= askToken().finally(() => { signingIn = null; });
      await signingIn;
    } else if (problem.kind === 'busy' && attempt < TRIES) {
      await pause((problem.retry || attempt) * 1000, signal);
    } else throw problem;
  }
}

export const get = (path, query, signal) => call('GET', path, { query, signal });
export const post = (path, body, signal) => call('POST', path, { body, signal });
export const put = (path, body) => call('PUT', path, { body });
export const remove = (path, query) => call('DELETE', path, { query });

async function send(method, url, body, signal) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    const response = await fetch(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    setGone(false);
    return response;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    setGone(true);
    throw new Problem(0, 'offline', 'The server is not responding. It may have been stopped.');
  }
}

function setGone(gone) {
  if (gone === isGone) return;
  isGone = gone;
  connection.dispatchEvent(new Event(gone ? 'gone' : 'back'));
}

async function readProblem(response) {
  const data = await response.json().catch(() => ({}));
  const kind = String(data.type ?? '').replace('urn:vsearch:', '') || 'error';
  const busy = response.status === 429 ? 'busy' : kind;
  return new Problem(response.status, busy, data.detail || data.title || `The server responded with status ${response.status}.`,
    Number(response.headers.get('Retry-After')) || 0);
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, Math.min(ms, 10_000));
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new DOMException('aborted', 'AbortError'));
    });
  });
}

/** Upload a file, calling `progress` with the share sent. Returns {done: promise, stop()}. */
export function upload(file, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener('progress', (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener('error', () => reject(new Problem(0, 'offline', 'The upload failed: the server is not responding.')));
    request.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
    request.addEventListener('load', () => {
      let data = {};
      try { data = JSON.parse(request.responseText); } catch { /* not a vsearch response */ }
      if (request.status < 300) resolve(data);
      else reject(new Problem(request.status, 'upload', data.detail || (request.status === 413 ? 'The file is too large.' : `The server responded with status ${request.status}.`)));
    });
  });
  const form = new FormData();
  form.append('file', file, file.name || 'pasted');
  request.open('POST', address('/uploads'));
  request.setRequestHeader('Accept', 'application/json');
  request.send(form);
  return { done, stop: () => request.abort() };
}

/** Subscribe to job events until the returned function is called. */
export function follow(path, onJob) {
  let source = null;
  let timer = 0;
  const open = () => {
    source = new EventSource(address(path));
    source.addEventListener('job', (event) => onJob(JSON.parse(event.data)));
    source.addEventListener('error', () => { // browsers reconnect, except after an error response
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, RECONNECT_MS);
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

export const thumbnail = (video, time, width = 320) => address(`/videos/${video}/thumbnail`, { time: Math.max(0, time).toFixed(2), width });
export const preview = (video, start, end, width = 320) => address(`/videos/${video}/preview`, { start: start.toFixed(2), end: end.toFixed(2), width });
export const uploadThumbnail = (id, width = 96) => address(`/uploads/${encodeURIComponent(id)}/thumbnail`, { width });
export const file = (video) => address(`/videos/${video}/file`);
export const stream = (video, start, forceEncoding) => address(`/videos/${video}/stream`, { start: start.toFixed(3), force_encoding: forceEncoding });
