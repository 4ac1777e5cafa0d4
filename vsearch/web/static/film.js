// A film that plays: the file itself, or a stream that begins anew wherever it is not loaded yet.

import * as api from './api.js';

const NEAR = 0.06; // seconds that a stream may begin before what was asked for

/** Where a stream begins, in seconds of the video; NaN where that is not told. */
async function begins(url) {
  const stop = new AbortController();
  let told = await fetch(url, { method: 'HEAD' }).catch(() => null);
  if (told?.status === 405) told = await fetch(url, { signal: stop.signal }).catch(() => null);
  stop.abort();
  return Number(told?.headers.get('X-Vsearch-Start') ?? NaN);
}

export class Film {
  #anew = false; // whether pictures are to be encoded anew
  #offset = 0; // of the stream's time 0 in the video, in seconds
  #loading = 0; // counts loads, so that late answers are passed over
  #wanted = null; // the time that is being gone to
  #meant = false; // whether it is meant to play, though it may still be loading

  /** `hooks`: change() whenever something is different, trouble(text or null). */
  constructor(node, hooks) {
    Object.assign(this, { node, hooks, video: null, mode: 'none' });
    for (const name of ['play', 'pause', 'timeupdate', 'seeking', 'seeked', 'ratechange', 'volumechange', 'durationchange', 'waiting', 'playing', 'ended', 'progress']) {
      node.addEventListener(name, () => hooks.change(name));
    }
    node.addEventListener('seeked', () => { if (!node.seeking) this.#wanted = null; });
    node.addEventListener('error', () => this.#failed());
  }

  /** Load a video at a time. */
  async open(video, time, play) {
    this.#meant = play;
    this.video = video;
    this.#anew = false;
    this.mode = video.playback === 'direct' ? 'direct' : video.playback === 'none' || video.missing ? 'none' : 'stream';
    this.hooks.trouble(null);
    if (this.mode === 'direct') await this.#load(api.file(video.id), 0, time, play);
    else if (this.mode === 'stream') await this.#stream(time, play);
    else {
      this.close();
      this.#wanted = time;
      this.hooks.trouble(video.missing ? 'The file is not where it was indexed.' : 'Browsers cannot play this video.');
    }
  }

  close() {
    this.#loading += 1;
    this.node.pause();
    this.node.removeAttribute('src');
    this.node.load();
  }

  get time() {
    return this.#wanted ?? this.#offset + this.node.currentTime;
  }

  get duration() {
    return this.video?.duration || (Number.isFinite(this.node.duration) ? this.node.duration : 0);
  }

  get playing() {
    return !this.node.paused && !this.node.ended;
  }

  /** Go to a time. */
  seek(time) {
    const to = Math.min(Math.max(0, time), Math.max(0, this.duration - 0.04));
    const inside = to - this.#offset;
    this.#wanted = to;
    if (this.mode === 'stream' && !this.#loaded(inside)) this.#stream(to, this.#meant);
    else if (this.mode !== 'none' && this.node.readyState > 0) {
      this.#loading += 1; // what was to be loaded is not wanted any more
      this.node.currentTime = inside;
    }
    this.hooks.change('seeking');
  }

  toggle() {
    if (this.mode === 'none') return;
    this.#meant = !this.playing;
    if (this.playing) this.node.pause();
    else {
      if (this.node.ended && this.mode === 'stream' && this.time >= this.duration - 0.3) this.seek(0);
      this.node.play().catch(() => {});
    }
  }

  /** One frame on, or back. */
  step(frames) {
    this.#meant = false;
    this.node.pause();
    this.seek(this.time + frames / (this.video.fps || 25));
  }

  #loaded(inside) {
    const { buffered } = this.node;
    for (let at = 0; at < buffered.length; at += 1) if (buffered.start(at) - 0.05 <= inside && inside <= buffered.end(at)) return true;
    return false;
  }

  async #stream(time, play) {
    this.#wanted = time;
    const turn = this.#loading += 1;
    const url = api.stream(this.video.id, time, this.#anew);
    const start = this.video.playback === 'transcode' || this.#anew ? time : await begins(url);
    if (turn !== this.#loading) return;
    await this.#load(url, Number.isFinite(start) ? start : time, time, play);
  }

  async #load(url, offset, time, play) {
    const turn = this.#loading += 1;
    const { node } = this;
    this.#wanted = time;
    this.#offset = offset;
    node.dataset.offset = String(offset);
    node.src = url;
    await new Promise((resolve) => { node.addEventListener('loadedmetadata', resolve, { once: true }); });
    if (turn !== this.#loading) return;
    const inside = (this.#wanted ?? time) - offset; // which may have changed meanwhile
    if (inside > (this.mode === 'stream' ? NEAR : 0)) node.currentTime = inside;
    else this.#wanted = null;
    if (play) node.play().catch(() => this.hooks.change('pause')); // not without a gesture, says the browser
  }

  #failed() {
    if (!this.node.getAttribute('src')) return;
    const time = this.time;
    if (this.mode === 'direct') { // this browser cannot, whatever the server believed
      this.mode = 'stream';
      this.#stream(time, true);
    } else if (this.mode === 'stream' && !this.#anew) { // damaged packets are copied as they are
      this.#anew = true;
      this.#stream(time, true);
    } else {
      this.mode = 'none';
      this.#wanted = time;
      this.hooks.trouble('This video does not play here.');
    }
    this.hooks.change('error');
  }
}
