// The server: what is asked of it, and what it refuses.

const BASE = '/api/v1';
const AGAIN = 3000; // ms until events are asked for again
const TRIES = 3; // of a request that a busy server refuses

/** What a request was refused with, in words for people. */
export class Problem extends Error {
  constructor(status, kind, detail, retry = 0) {
    super(detail);
    Object.assign(this, { status, kind, detail, retry });
  }
}

/** `token`, `gone` (the server does not answer) and `back` are told here. */
export const news = new EventTarget();

let askToken = null; // () → a promise that is kept when the person has signed in
let asking = null;
let away = false;

export function onToken(ask) {
  askToken = ask;
}

/** An address of the API. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return BASE + path + (text ? `?${text}` : '');
}

/** Ask, and read the answer as JSON. Throws Problem; an aborted request throws AbortError. */
export async function call(method, path, { query, body, signal } = {}) {
  for (let tried = 1; ; tried += 1) {
    const response = await send(method, address(path, query), body, signal);
    if (response.ok) return response.status === 204 ? null : response.json();
    const problem = await refusal(response);
    if (problem.status === 401 && askToken && path !== '/session') {
      asking ??= askToken().finally(() => { asking = null; });
      await asking;
    } else if (problem.kind === 'busy' && tried < TRIES) {
      await pause((problem.retry || tried) * 1000, signal);
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
    tell(false);
    return response;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    tell(true);
    throw new Problem(0, 'offline', 'The server does not answer. Is vsearch still running?');
  }
}

function tell(gone) {
  if (gone === away) return;
  away = gone;
  news.dispatchEvent(new Event(gone ? 'gone' : 'back'));
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const kind = String(told.type ?? '').replace('urn:vsearch:', '') || 'error';
  const busy = response.status === 429 ? 'busy' : kind;
  return new Problem(response.status, busy, told.detail || told.title || `The server answered ${response.status}.`,
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

/** Send a file; `progress` is told the share that has gone. Gives {done: promise, stop()}. */
export function upload(file, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener('progress', (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener('error', () => reject(new Problem(0, 'offline', 'The file did not reach the server.')));
    request.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
    request.addEventListener('load', () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { /* not from vsearch */ }
      if (request.status < 300) resolve(told);
      else reject(new Problem(request.status, 'upload', told.detail || (request.status === 413 ? 'This file is too large.' : `The server answered ${request.status}.`)));
    });
  });
  const form = new FormData();
  form.append('file', file, file.name || 'pasted');
  request.open('POST', address('/uploads'));
  request.setRequestHeader('Accept', 'application/json');
  request.send(form);
  return { done, stop: () => request.abort() };
}

/** Follow jobs as they go on, for as long as it takes. Gives a function that stops. */
export function follow(path, heard) {
  let source = null;
  let timer = 0;
  const open = () => {
    source = new EventSource(address(path));
    source.addEventListener('job', (event) => heard(JSON.parse(event.data)));
    source.addEventListener('error', () => { // it connects again by itself, but not after a refusal
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN);
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

export const still = (video, t, w = 320) => address(`/videos/${video}/still`, { t: Math.max(0, t).toFixed(2), w });
export const preview = (video, start, end, w = 320) => address(`/videos/${video}/preview`, { start: start.toFixed(2), end: end.toFixed(2), w });
export const uploadStill = (id, w = 96) => address(`/uploads/${encodeURIComponent(id)}/still`, { w });
export const file = (video) => address(`/videos/${video}/file`);
export const stream = (video, start, anew) => address(`/videos/${video}/stream`, { start: start.toFixed(3), ...(anew ? { anew: true } : {}) });
