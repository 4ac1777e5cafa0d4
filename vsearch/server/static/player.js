// The player: a video with its curve, moments and transcript.

import * as api from './api.js';
import { $, announce, clock, copy, el, icon, percent, prefersReducedMotion, range, toast, tool, types } from './dom.js';
import { Curve } from './curve.js';
import { VideoPlayback } from './film.js';
import { confidence, facts, key, mark, quotes, recording, select, selection, thumbs, wordsOf } from './moment.js';
import { go, link, where } from './route.js';
import { Transcript } from './transcript.js';

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const MAX_MOMENTS = 24; // shown per video
const AROUND = 2; // seconds before and after the position, outside of moments

let parts = null; // {film, curve, script, ...}: created once
let hooks = {};
let video = null;
let search = null;
let moments = []; // of this video, chronological
let now = null; // the current moment
let loop = false;
let turn = 0; // counts videos, to ignore late responses

/** Show the video in the URL. `ready` resolves to the search response. */
export async function show(to, ready, given) {
  hooks = given;
  parts ??= build();
  const dialog = $('player');
  if (dialog.open && video?.video_id === to.v) {
    if (to.t !== null && Math.abs(to.t - parts.film.time) > 0.05) parts.film.seek(to.t);
    return;
  }
  if (!dialog.open) dialog.showModal();
  parts.curve.node.focus();
  await open(to, ready);
}

export function close() {
  turn += 1;
  parts?.film.close();
  parts?.tick(false);
  if ($('player').open) $('player').close();
  if (now) hooks.results?.focusOn(now);
  video = null;
  now = null;
}

async function open(to, ready) {
  const mine = turn += 1;
  const quick = hooks.results.moments().find((one) => one.video.video_id === to.v);
  moments = [];
  now = null;
  search = null;
  if (quick) begin(quick.video, to, [quick, ...hooks.results.moments().filter((one) => one.video.video_id === to.v)]);
  else parts.wait(true);
  const [whole, found] = await Promise.all([api.get(`/videos/${to.v}`).catch((error) => error), ready]);
  if (mine !== turn) return;
  if (whole instanceof Error) {
    parts.trouble(whole.status === 404 ? 'This video is no longer in the library.' : whole.detail);
    return;
  }
  search = found;
  if (!quick) begin(whole, to, found?.results.filter((one) => one.video.video_id === to.v) ?? []);
  video = { ...video, ...whole };
  parts.script.node.hidden = Boolean(video.is_photo) && !whole.transcript_sources?.length;
  parts.script.open(video, whole.transcript_sources ?? [], wordsOf(found));
  draw();
  if (found) await fit(mine, to);
}

/** Start playback. */
function begin(given, to, known) {
  video = given;
  moments = merge(known);
  now = nearest(to.t);
  document.title = `${video.name} \u2013 vsearch`;
  $('player').setAttribute('aria-label', video.name);
  parts.curve.open(video);
  parts.shape(video.width, video.height);
  parts.still(Boolean(video.is_photo));
  if (!video.is_photo) parts.poster();
  parts.film.open(video, to.t ?? 0, true);
  draw();
}

/** Load the curve and all moments of this video. */
async function fit(mine, to) {
  const asked = { search_id: search.search_id };
  const [curve, all] = await Promise.all([
    api.get(`/videos/${video.video_id}/curve`, asked).catch(() => null),
    api.get(`/videos/${video.video_id}/moments`, asked).catch(() => null),
  ]);
  if (mine !== turn) return;
  if (search.browse) for (const one of all?.results ?? []) one.score = null;
  if (curve?.times.length) parts.curve.fit(curve);
  moments = selectMoments(moments, all?.results ?? []);
  now = moments.find((one) => now && key(one) === key(now)) ?? nearest(to.t);
  draw();
}

function merge(all) {
  const known = new Map();
  for (const one of all) if (!known.has(key(one))) known.set(key(one), one);
  return [...known.values()].sort((a, b) => a.start - b.start);
}

/** Return confident moments and those opened by the user, else the known ones. */
function selectMoments(known, all) {
  const strong = all.filter((one) => !one.low_confidence).sort((a, b) => b.score - a.score).slice(0, MAX_MOMENTS);
  return merge([...known.filter((one) => !strong.length || !one.low_confidence || one === now), ...strong]);
}

function nearest(time) {
  if (time === null) return null;
  return moments.find((one) => Math.abs(one.start - time) < 0.06) ?? moments.find((one) => one.start <= time && time < one.end) ?? null;
}

// --- details

function draw() {
  parts.curve.mark(moments, now);
  parts.previous.disabled = parts.next.disabled = !moments.length && hooks.results.shown().length < 2;
  const seek = (time) => parts.film.seek(time);
  const one = now ?? around();
  const frames = (now?.explanation?.frame_weights ?? []).filter((frame) => frame.weight > 0.05).toSorted((a, b) => a.time - b.time);
  parts.about.replaceChildren(...[
    el('h2', { 'data-testid': 'player-title' }, video.name),
    el('p', { class: 'soft path', title: video.path }, `${video.width} \u00d7 ${video.height} \u00b7 ${video.path}`),
    video.other_paths.map((path) => el('p', { class: 'soft path', title: path, 'data-testid': 'player-other-path' }, `Also at ${path}`)),
    recording(video) && el('p', { class: 'soft', 'data-testid': 'player-recording' }, recording(video)),
    now && !(video.is_photo && !confidence(now)) && el('p', { class: 'line', 'data-testid': 'player-moment' }, !video.is_photo && el('b', { class: 'time' }, range(now.start, now.end)), confidence(now)),
    now && el('p', { class: 'facts soft' }, facts(now)),
    frames.length > 1 && el('p', { class: 'soft' }, 'Frame weights ', frames.map((frame, at) => [at ? ', ' : '', el('button', { type: 'button', class: 'time', title: percent(frame.weight), onclick: () => seek(frame.time) }, clock(frame.time, true))])),
    now?.explanation?.steps?.length > 1 && el('p', { class: 'soft' }, 'Steps ', now.explanation.steps.map((step, at) => [at ? ' \u2192 ' : '', el('button', { type: 'button', class: 'time', onclick: () => seek(step.start) }, range(step.start, step.end))])),
    now && quotes(now, wordsOf(search), 6, seek),
    el('div', { class: 'acts' },
      now && search && !search.browse && thumbs(now, () => search.search_id),
      tool('like', 'Search with this moment (s)', () => hooks.like(now ?? around()), { 'data-testid': 'player-search-with' }),
      tool('link', 'Copy a link to here (c)', share, { 'data-testid': 'player-link' }),
      tool('check', 'Select (x)', () => select(now ?? around()), { 'aria-pressed': String(selection.has(key(one))), 'data-testid': 'player-select' }),
      tool('export', 'Export this (e)', () => hooks.export([now ?? around()]), { 'data-testid': 'player-export' })),
    moments.length > 1 && !video.is_photo && el('div', { class: 'moments', role: 'group', 'aria-label': 'Moments in this video' }, moments.map((other) => el('button', {
      type: 'button', 'aria-current': String(other === now), 'data-testid': 'player-moments', onclick: () => visit(other),
    }, range(other.start, other.end), other.confidence !== null && other.confidence !== undefined && el('small', {}, percent(other.confidence))))),
    video.tags?.length > 0 && el('div', { class: 'tags', role: 'group', 'aria-label': 'Tags' }, labels(video.tags).map(([label, when]) => el('button', {
      type: 'button', title: when === null ? 'Search with this tag' : `at ${clock(when)}`, onclick: () => (when === null ? hooks.ask(`${label} tag:${/\s/.test(label) ? `"${label}"` : label}`) : seek(when)),
    }, label))),
  ].flat().filter(Boolean));
}

function labels(tags) {
  const first = new Map();
  for (const tag of tags) if (!first.has(tag.label)) first.set(tag.label, tag.start ?? null);
  return [...first].slice(0, 16);
}

/** Return the seconds around the position as a moment. */
function around() {
  const time = parts.film.time;
  return { video, start: Math.max(0, time - AROUND), end: Math.min(video.duration || time + AROUND, time + AROUND), explanation: { peak: time } };
}

async function share() {
  await copy(new URL(link({ ...where(), v: video.video_id, t: now && inside(now) ? now.start : parts.film.time }), location.href).href);
  toast('Link copied');
}

const inside = (moment) => moment.start - 0.1 <= parts.film.time && parts.film.time < moment.end + 0.1;

// --- from moment to moment

function visit(moment) {
  now = moment;
  parts.film.seek(moment.start);
  go({ t: moment.start }, { replace: true, quiet: true });
  draw();
  announce(range(moment.start, moment.end));
}

/** Go to the next or previous moment, or else to the next result. */
function hop(step) {
  const time = parts.film.time;
  const at = now && inside(now) ? moments.indexOf(now) : -1;
  const to = at >= 0
    ? moments[at + step]
    : step > 0 ? moments.find((one) => one.start > time + 0.1) : moments.findLast((one) => one.start < time - 0.5);
  if (to) visit(to);
  else leap(step);
}

/** Go to the next or previous result of another video. */
function leap(step) {
  const all = hooks.results.shown();
  const at = all.findIndex((one) => now && key(one) === key(now));
  const from = at >= 0 ? at : step > 0 ? all.findLastIndex((one) => one.video.video_id === video.video_id) : all.findIndex((one) => one.video.video_id === video.video_id);
  let to = from + step;
  while (all[to]?.video.video_id === video.video_id) to += step;
  if (!all[to]) { toast(step > 0 ? 'This is the last result' : 'This is the first result'); return; }
  go({ v: all[to].video.video_id, t: all[to].start }, { replace: true });
}

// --- construction

function build() {
  const dialog = $('player');
  const node = el('video', { playsinline: true, preload: 'auto', tabindex: -1 });
  const over = el('div', { class: 'over', hidden: true, role: 'status' });
  const backdrop = el('img', { alt: '', hidden: true });
  const ground = el('img', { class: 'ground', alt: '', 'aria-hidden': 'true' });
  const stage = el('div', { class: 'stage' }, ground, backdrop, node, over);
  const made = { about: el('div', { class: 'about' }) };
  made.wait = (on) => { over.hidden = !on; over.replaceChildren(el('span', { class: 'spin' }), el('span', { class: 'hidden' }, 'Loading')); };
  made.trouble = (text) => {
    clearTimeout(made.slow);
    over.hidden = !text;
    over.replaceChildren(...(text ? [icon('warn'), el('p', {}, text)] : []));
    if (video?.is_photo && !video.missing) return;
    backdrop.hidden = !text || !video;
    if (text && video) backdrop.src = video.playback === 'none' && !video.missing && !prefersReducedMotion() ? api.preview(video.video_id, now?.start ?? 0, now?.end ?? 4, 640) : api.thumbnail(video.video_id, now?.start ?? 0, 640);
  };
  made.poster = () => { node.poster = ground.src = api.thumbnail(video.video_id, (where().t ?? 0) + 0.1, 640); };
  made.shape = (width, height) => { stage.classList.toggle('tall', height > width); };
  made.still = (on) => { // a photo has no controls
    node.hidden = made.controls.hidden = on;
    stage.classList.toggle('photo', on);
    if (on) backdrop.src = api.thumbnail(video.video_id, 0, 1280);
    if (on) ground.src = api.thumbnail(video.video_id, 0, 320);
    backdrop.alt = on ? video.name : '';
    backdrop.hidden = !on;
  };
  node.addEventListener('loadedmetadata', () => made.shape(node.videoWidth, node.videoHeight));
  made.film = new VideoPlayback(node, { change: (name) => changed(made, name), trouble: made.trouble });
  made.curve = new Curve({ seek: (time) => { made.film.seek(time); } });
  made.script = new Transcript({ seek: (time) => made.film.seek(time) });
  controls(made);
  made.controls = el('div', { class: 'controls' }, made.curve.node, made.buttons);
  const theatre = el('div', { class: 'theatre' }, stage, made.controls);
  made.full = () => (document.fullscreenElement ? document.exitFullscreen() : theatre.requestFullscreen?.() ?? node.webkitEnterFullscreen?.())?.catch?.(() => {});
  dialog.append(theatre, el('aside', { class: 'beside', 'aria-label': 'About this moment' }, made.about, made.script.node),
    tool('close', 'Close (Esc)', () => hooks.leave(), { class: 'tool shut', 'data-testid': 'player-close' }));
  stage.addEventListener('click', () => made.film.toggle());
  stage.addEventListener('dblclick', () => made.full());
  dialog.addEventListener('cancel', (event) => { event.preventDefault(); hooks.leave(); });
  dialog.addEventListener('keydown', pressed);
  document.addEventListener('vsearch:selected', () => { if (video && dialog.open) draw(); });
  ticking(made);
  return made;
}

function controls(made) {
  const volume = el('input', { type: 'range', min: 0, max: 1, step: 0.05, value: 1, 'aria-label': 'Volume', oninput: () => { made.film.node.muted = false; made.film.node.volume = Number(volume.value); } });
  const speed = el('select', { 'aria-label': 'Speed', title: 'Speed (< and >)', onchange: () => { made.film.node.playbackRate = Number(speed.value); } }, SPEEDS.map((one) => el('option', { value: one }, `${one}\u00d7`)));
  speed.value = '1';
  Object.assign(made, {
    previous: tool('previous', 'Previous moment (p)', () => hop(-1), { 'data-testid': 'previous-moment' }),
    next: tool('next', 'Next moment (n)', () => hop(1), { 'data-testid': 'next-moment' }),
    play: tool('play', 'Play (Space)', () => made.film.toggle(), { class: 'tool play', 'data-testid': 'play' }),
    mute: tool('volume', 'Mute (m)', () => { made.film.node.muted = !made.film.node.muted; }, { class: 'tool volume' }),
    loop: tool('loop', 'Loop the moment (r)', () => looping(made), { 'aria-pressed': 'false', 'data-testid': 'loop' }),
    clock: el('span', { class: 'time', 'data-testid': 'time' }),
    volume, speed,
  });
  made.buttons = el('div', { class: 'buttons', role: 'group', 'aria-label': 'Controls' }, made.previous, made.play, made.next, made.clock, el('span', { class: 'grow' }),
    made.loop, speed, made.mute, volume, tool('full', 'Full screen (f)', () => made.full()));
}

function looping(made) {
  loop = !loop;
  made.loop.setAttribute('aria-pressed', String(loop));
  if (loop && now && !inside(now)) made.film.seek(now.start);
}

function swap(button, name, label) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.replaceChildren(icon(name));
  button.setAttribute('aria-label', label);
  button.title = label;
}

function changed(made, name) {
  const { film } = made;
  if (!video) return;
  if (['waiting', 'seeking'].includes(name) && film.mode !== 'none') {
    clearTimeout(made.slow);
    made.slow = setTimeout(() => { if (!video?.is_photo && film.node.readyState < 3 && !film.node.error) made.wait(true); }, 350);
  }
  if (['playing', 'seeked', 'pause'].includes(name) && film.mode !== 'none') {
    clearTimeout(made.slow);
    made.wait(false);
  }
  swap(made.play, film.playing ? 'pause' : 'play', film.playing ? 'Pause (Space)' : 'Play (Space)');
  swap(made.mute, film.node.muted || !film.node.volume ? 'mute' : 'volume', film.node.muted ? 'Unmute (m)' : 'Mute (m)');
  made.volume.value = String(film.node.muted ? 0 : film.node.volume);
  made.speed.value = String(film.node.playbackRate);
  made.tick(film.playing);
  place(made);
}

function place(made) {
  const { time, duration } = made.film;
  if (loop && now && made.film.playing && time >= now.end - 0.02 && time < now.end + 1) made.film.seek(now.start);
  made.curve.at(time);
  made.script.at(time);
  made.clock.replaceChildren(clock(time, duration < 3600), el('span', {}, ` / ${clock(duration)}`));
}

/** Update the bar on every animation frame during playback. */
function ticking(made) {
  let running = false;
  const step = () => {
    if (!running || !video) { running = false; return; }
    place(made);
    requestAnimationFrame(step);
  };
  made.tick = (on) => {
    if (on && !running) requestAnimationFrame(step);
    running = on;
  };
}

// --- keys

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !video) return;
  const { film } = parts;
  if (types(event.target)) {
    if (event.key === 'Escape') { event.preventDefault(); event.stopPropagation(); event.target.value = ''; event.target.dispatchEvent(new Event('input')); parts.curve.node.focus(); }
    return;
  }
  const acts = event.target.matches('button, a, select, summary') && [' ', 'Enter'].includes(event.key);
  if (acts || (event.target.matches('input[type=range], select') && event.key.startsWith('Arrow'))) return;
  const changeSpeed = (step) => { film.node.playbackRate = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(film.node.playbackRate) + step))]; };
  const loud = (step) => { film.node.muted = false; film.node.volume = Math.min(1, Math.max(0, film.node.volume + step)); };
  const on = {
    ' ': () => film.toggle(), k: () => film.toggle(),
    ArrowLeft: () => film.seek(film.time - (event.shiftKey ? 1 : 5)), ArrowRight: () => film.seek(film.time + (event.shiftKey ? 1 : 5)),
    ArrowUp: () => loud(0.1), ArrowDown: () => loud(-0.1),
    ',': () => film.step(-1), '.': () => film.step(1), '<': () => changeSpeed(-1), '>': () => changeSpeed(1),
    Home: () => film.seek(0), End: () => film.seek(film.duration),
    n: () => hop(1), p: () => hop(-1), N: () => leap(1), P: () => leap(-1),
    u: () => rate(true), d: () => rate(false),
    s: () => hooks.like(now ?? around()), e: () => hooks.export([now ?? around()]), x: () => select(now ?? around()), c: share,
    r: () => looping(parts), m: () => { film.node.muted = !film.node.muted; }, f: () => parts.full(),
    '/': () => { if (!parts.script.head.hidden) parts.script.find.focus(); }, '?': () => $('help-open').click(),
  }[event.key];
  if (!on) return;
  event.preventDefault();
  event.stopPropagation();
  on();
}

function rate(relevant) {
  if (now && search && !search.browse) mark(now, search.search_id, now.relevant === relevant ? null : relevant);
}
