// A slider along the right edge that jumps between the months of the library.

import { el } from './dom.js';

const LEAST_SCREENS = 3; // shorter lists need no slider
const LABEL_REM = 1.4; // least distance of two year labels

export class Scrubber {
  #sections = []; // of the grid
  #dragging = false;
  #stop = new AbortController();

  constructor(grid) {
    this.grid = grid;
    this.thumb = el('span', { class: 'thumb', 'aria-hidden': 'true' }, el('span', { class: 'bubble' }));
    this.years = el('span', { class: 'years', 'aria-hidden': 'true' });
    this.node = el('div', { class: 'scrubber', role: 'slider', tabindex: 0, 'aria-label': 'Month', 'aria-orientation': 'vertical', 'aria-valuemin': 0, 'data-testid': 'scrubber', hidden: true }, this.years, this.thumb);
    const { signal } = this.#stop;
    this.node.addEventListener('pointerdown', (event) => this.#down(event), { signal });
    this.node.addEventListener('pointermove', (event) => { if (this.#dragging) this.#to(event.clientY); }, { signal });
    for (const name of ['pointerup', 'pointercancel']) this.node.addEventListener(name, () => this.#up(), { signal });
    this.node.addEventListener('keydown', (event) => this.#key(event), { signal });
    addEventListener('scroll', () => this.#follow(), { passive: true, signal });
    addEventListener('resize', () => this.update(), { passive: true, signal });
  }

  destroy() {
    this.#stop.abort();
    this.node.remove();
  }

  /** Follow new sections of the grid. */
  update() {
    this.#sections = this.grid.sections.filter((one) => one.title);
    this.node.hidden = this.#sections.length < 2 || this.grid.host.clientHeight < LEAST_SCREENS * innerHeight;
    document.body.classList.toggle('scrubbing', !this.node.hidden);
    if (this.node.hidden) return;
    this.node.setAttribute('aria-valuemax', String(this.#sections.length - 1));
    const whole = this.grid.host.clientHeight;
    const least = (LABEL_REM * parseFloat(getComputedStyle(document.documentElement).fontSize)) / Math.max(1, this.node.clientHeight);
    const labels = [];
    let last = -1;
    let year = null;
    for (const section of this.#sections) {
      const share = section.top / whole;
      if (section.year !== year && share - last >= least && share < 1 - least) {
        const label = el('span', {}, String(section.year));
        label.style.insetBlockStart = `${share * 100}%`;
        labels.push(label);
        last = share;
      }
      year = section.year;
    }
    this.years.replaceChildren(...labels);
    this.#follow();
  }

  #current() { return Math.max(0, this.#sections.indexOf(this.grid.section)); }

  #follow() {
    if (this.node.hidden) return;
    const at = this.#current();
    const section = this.#sections[at];
    if (!section) return;
    this.node.setAttribute('aria-valuenow', String(at));
    this.node.setAttribute('aria-valuetext', `${section.title}, ${section.note ?? ''}`);
    this.thumb.style.insetBlockStart = `${this.grid.share * 100}%`;
    this.thumb.firstChild.textContent = section.title;
    this.node.classList.add('moving');
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.node.classList.remove('moving'), 1200);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#dragging = true;
    this.node.classList.add('held');
    this.node.setPointerCapture(event.pointerId);
    this.node.focus({ preventScroll: true });
    this.#to(event.clientY);
    event.preventDefault();
  }

  #up() {
    this.#dragging = false;
    this.node.classList.remove('held');
  }

  #to(y) {
    const box = this.node.getBoundingClientRect();
    this.grid.share = Math.max(0, Math.min(1, (y - box.top) / box.height));
    this.#follow();
  }

  #key(event) {
    const at = this.#current();
    const year = this.#sections[at]?.year;
    const to = {
      ArrowUp: () => at - 1,
      ArrowRight: () => at - 1,
      ArrowDown: () => at + 1,
      ArrowLeft: () => at + 1,
      PageUp: () => this.#sections.findLastIndex((one) => one.year > year),
      PageDown: () => this.#sections.findIndex((one) => one.year < year),
      Home: () => 0,
      End: () => this.#sections.length - 1,
    }[event.key]?.();
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (to < 0 || to >= this.#sections.length) return;
    this.grid.scrollTo(this.#sections[to].first, true);
    this.#follow();
  }
}
