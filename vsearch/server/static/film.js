// Video playback: the file itself, or a stream restarted at positions that are not buffered.

import * as api from './api.js';

const NEAR = 0.06; // seconds that a stream may start before the requested time

/** Return the start time of a stream in seconds, or NaN if unknown. */
async function fetchStart(url) {
  const stop = new AbortController();
  let response = await fetch(url, { method: 'HEAD' }).catch(() => null);
  if (response?.status === 405) response = await fetch(url, { signal: stop.signal }).catch(() => null);
  stop.abort();
  return Number(response?.headers.get('X-Vsearch-Start') ?? NaN);
}

export class VideoPlayback {
  #forceEncoding = false; // re-encode the frames
  #offset = 0; // of the stream's time 0 in the video, in seconds
  #loading = 0; // counts loads, to ignore late responses
  #target = null; // the seek target, until reached
  #shouldPlay = false; // play as soon as it is loaded

  /** `hooks`: change(event name) on any change, trouble(text or null) on errors. */
  constructor(node, hooks) {
    Object.assign(this, { node, hooks, video: null, mode: 'none' });
    for (const name of ['play', 'pause', 'timeupdate', 'seeking', 'seeked', 'ratechange', 'volumechange', 'durationchange', 'waiting', 'playing', 'ended', 'progress']) {
      node.addEventListener(name, () => hooks.change(name));
    }
    node.addEventListener('seeked', () => { if (!node.seeking) this.#target = null; });
    node.addEventListener('error', () => this.#failed());
  }

  /** Load a video at a time. */
  async open(video, time, play) {
    this.#shouldPlay = play;
    this.video = video;
    this.#forceEncoding = false;
    this.mode = video.is_photo ? 'none' : video.playback === 'direct' ? 'direct' : video.playback === 'none' || video.missing ? 'none' : 'stream';
    this.hooks.trouble(null);
    if (this.mode === 'direct') await this.#load(api.file(video.video_id), 0, time, play);
    else if (this.mode === 'stream') await this.#stream(time, play);
    else {
      this.close();
      this.#target = time;
      if (video.is_photo && !video.missing) return;
      this.hooks.trouble(video.file_status === 'offline' ? 'The drive or folder of this video is not connected.' : video.missing ? 'The file was moved or deleted.' : 'Browsers cannot play this video.');
    }
  }

  close() {
    this.#loading += 1;
    this.node.pause();
    this.node.removeAttribute('src');
    this.node.load();
  }

  get time() {
    return this.#target ?? this.#offset + this.node.currentTime;
  }

  get duration() {
    return this.video?.duration || (Number.isFinite(this.node.duration) ? this.node.duration : 0);
  }

  get playing() {
    return !this.node.paused && !this.node.ended;
  }

  /** Seek to a time in seconds. */
  seek(time) {
    const to = Math.min(Math.max(0, time), Math.max(0, this.duration - 0.04));
    const inside = to - this.#offset;
    this.#target = to;
    if (this.mode === 'stream' && !this.#loaded(inside)) this.#stream(to, this.#shouldPlay);
    else if (this.mode !== 'none' && this.node.readyState > 0) {
      this.#loading += 1; // cancel a pending load
      this.node.currentTime = inside;
    }
    this.hooks.change('seeking');
  }

  toggle() {
    if (this.mode === 'none') return;
    this.#shouldPlay = !this.playing;
    if (this.playing) this.node.pause();
    else {
      if (this.node.ended && this.mode === 'stream' && this.time >= this.duration - 0.3) this.seek(0);
      this.node.play().catch(() => {});
    }
  }

  /** Step some frames forward or back. */
  step(frames) {
    this.#shouldPlay = false;
    this.node.pause();
    this.seek(this.time + frames / (this.video.fps || 25));
  }

  #loaded(inside) {
    const { buffered } = this.node;
    for (let at = 0; at < buffered.length; at += 1) if (buffered.start(at) - 0.05 <= inside && inside <= buffered.end(at)) return true;
    return false;
  }

  async #stream(time, play) {
    this.#target = time;
    const turn = this.#loading += 1;
    const url = api.stream(this.video.video_id, time, this.#forceEncoding);
    const start = this.video.playback === 'transcode' || this.#forceEncoding ? time : await fetchStart(url);
    if (turn !== this.#loading) return;
    await this.#load(url, Number.isFinite(start) ? start : time, time, play);
  }

  async #load(url, offset, time, play) {
    const turn = this.#loading += 1;
    const { node } = this;
    this.#target = time;
    this.#offset = offset;
    node.dataset.offset = String(offset);
    node.src = url;
    await new Promise((resolve) => { node.addEventListener('loadedmetadata', resolve, { once: true }); });
    if (turn !== this.#loading) return;
    const inside = (this.#target ?? time) - offset; // may have changed meanwhile
    if (inside > (this.mode === 'stream' ? NEAR : 0)) node.currentTime = inside;
    else this.#target = null;
    if (play) node.play().catch(() => this.hooks.change('pause')); // blocked without a user gesture
  }

  #failed() {
    if (!this.node.getAttribute('src')) return;
    const time = this.time;
    if (this.mode === 'direct') { // this browser lacks the codec
      this.mode = 'stream';
      this.#stream(time, true);
    } else if (this.mode === 'stream' && !this.#forceEncoding) { // damaged packets may be the cause
      this.#forceEncoding = true;
      this.#stream(time, true);
    } else {
      this.mode = 'none';
      this.#target = time;
      this.hooks.trouble('This browser cannot play the video.');
    }
    this.hooks.change('error');
  }
}
