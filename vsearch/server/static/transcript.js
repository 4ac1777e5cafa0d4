// The transcript next to the player: follow, search and seek.

import * as api from './api.js';
import { clock, count, el, marked } from './dom.js';

const NAMES = { subtitles: 'Subtitles', speech: 'Speech', ocr: 'On screen' };

export class Transcript {
  #cues = []; // {start, end, text, node}
  #now = null;
  #touched = 0; // time of the last scroll by the user
  #asking = null;

  /** `hooks`: seek(seconds). */
  constructor(hooks) {
    this.hooks = hooks;
    this.words = [];
    this.find = el('input', { type: 'search', placeholder: 'Search the transcript', 'aria-label': 'Search the transcript', id: 'find', 'data-testid': 'transcript-search', oninput: () => this.#draw() });
    this.source = el('select', { 'aria-label': 'Transcript source', onchange: () => this.#load(this.source.value) });
    this.list = el('ol', { class: 'cues', 'aria-label': 'Transcript', 'data-testid': 'transcript' });
    this.none = el('p', { class: 'none' });
    this.head = el('div', { class: 'script-head' }, this.find, this.source);
    this.node = el('section', { class: 'script', 'aria-label': 'Transcript' }, this.head, el('div', { class: 'cues-body' }, this.none, this.list));
    for (const name of ['wheel', 'touchmove', 'keydown']) this.list.addEventListener(name, () => { this.#touched = Date.now(); }, { passive: true });
    this.list.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Show the transcript of another video with highlighted query words. */
  open(video, sources, words) {
    this.video = video;
    this.words = words;
    this.find.value = '';
    this.#asking?.abort();
    this.source.replaceChildren(...sources.map((one) => el('option', { value: one }, NAMES[one] ?? one)));
    this.source.hidden = sources.length < 2;
    this.head.hidden = !sources.length;
    this.#cues = [];
    this.list.replaceChildren();
    if (sources.length) this.#load(sources[0]);
    else this.#showMessage('No transcript. Index the folder with speech transcription or OCR to create one.');
  }

  async #load(source) {
    this.#asking?.abort();
    this.#asking = new AbortController();
    try {
      const transcript = await api.get(`/videos/${this.video.video_id}/transcript`, { source }, this.#asking.signal);
      this.#cues = transcript.cues;
      this.#draw();
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#cues = [];
      this.#draw();
      if (error.status !== 404) this.#showMessage(error.detail);
    }
  }

  #showMessage(text) {
    this.none.textContent = text;
    this.none.hidden = !text;
  }

  #draw() {
    const wanted = this.find.value.trim().toLowerCase();
    const shown = wanted ? this.#cues.filter((cue) => cue.text.toLowerCase().includes(wanted)) : this.#cues;
    this.#now = null;
    this.#cues.forEach((cue) => { cue.node = null; });
    this.list.replaceChildren(...shown.map((cue) => {
      cue.node = el('button', { type: 'button', class: 'cue', 'data-testid': 'cue', onclick: () => this.hooks.seek(cue.start) },
        el('span', { class: 'time' }, clock(cue.start)), el('span', {}, ...(wanted ? highlight(cue.text, wanted) : marked(cue.text, this.words))));
      return el('li', {}, cue.node);
    }));
    this.head.hidden = !this.#cues.length;
    this.#showMessage(shown.length ? '' : wanted ? `\u201c${this.find.value.trim()}\u201d was not found.` : 'The transcript is empty.');
    this.list.setAttribute('aria-label', `Transcript, ${count(shown.length, 'line')}`);
  }

  /** Follow playback. */
  at(time) {
    let low = 0;
    let high = this.#cues.length - 1;
    while (low < high) { // the last cue that has started
      const middle = Math.ceil((low + high) / 2);
      if (this.#cues[middle].start <= time + 0.05) low = middle;
      else high = middle - 1;
    }
    const cue = this.#cues[low];
    const now = cue && cue.start <= time + 0.05 && time < cue.end + 0.3 ? cue : null;
    if (now === this.#now) return;
    this.#now?.node?.setAttribute('aria-current', 'false');
    this.#now = now;
    if (!now?.node) return;
    now.node.setAttribute('aria-current', 'true');
    const inside = this.list.clientHeight < this.list.scrollHeight && getComputedStyle(this.list).overflowY === 'auto';
    if (inside && Date.now() - this.#touched > 4000 && !this.list.contains(document.activeElement)) {
      const box = this.list.getBoundingClientRect();
      const line = now.node.getBoundingClientRect();
      this.list.scrollBy({ top: line.top - box.top - box.height / 3 });
    }
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...this.list.querySelectorAll('.cue')];
    all[Math.min(all.length - 1, Math.max(0, all.indexOf(document.activeElement) + step))]?.focus();
  }
}

/** Return text with the search term highlighted. */
function highlight(text, wanted) {
  const at = text.toLowerCase().indexOf(wanted);
  return at < 0 ? [text] : [text.slice(0, at), el('mark', {}, text.slice(at, at + wanted.length)), text.slice(at + wanted.length)];
}
