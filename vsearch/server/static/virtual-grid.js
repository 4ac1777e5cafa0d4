// A grid of any number of equal cells in titled sections; only the rows near the viewport exist.

import { el } from './dom.js';

const PAGE = 60; // items per request
const MAX_PAGES = 60; // kept in memory
const MARGIN = 1; // viewports rendered above and below the visible one
const SETTLE_MS = 70; // without scrolling, before items are requested
const ROUNDING = 4; // pixels that a scroll position may be off
const RETRY_MS = 4000; // after a failed request

/**
 * Interface:
 *   const grid = new VirtualGrid(host, { label, render, load or at, layout, moved, failed });
 *   grid.setSections([{ title, count }])  replaces all sections; items are numbered over all of them
 *   grid.refresh()                        loads the visible items again
 *   grid.anchor() / grid.restore(anchor)  the scroll position, independent of the width
 *   grid.scrollTo(index), grid.focus(index), grid.current(), grid.move(key), grid.item(index)
 *   grid.redraw()                         renders the loaded items again
 *   grid.destroy()
 *
 * render(item, index) returns the element of a cell; its first link or button takes part in the
 * arrow keys, the others are reached by Tab from there. load(offset, limit, signal) returns a
 * promise of an array of items; items that are all in memory are given by at(index) instead. layout(width) returns { columns, height, gap, head } in pixels.
 * moved(index) is called with the first visible item after scrolling, arranged() when the height has changed.
 */
export class VirtualGrid {
  #blocks = []; // sections with their position
  #columns = 1;
  #pitch = 1; // pixels from row to row
  #shape = { columns: 1, height: 1, gap: 0, head: 0 };
  #pages = new Map(); // number → { items, stop, failedAt }
  #drawn = new Map(); // block number → { node, rows: Map(row → node) }
  #active = 0; // item with the roving focus
  #frame = 0;
  #settle = 0;
  #width = 0;
  #stop = new AbortController();
  #lastTop = 0; // of the page, at the last frame

  constructor(host, hooks) {
    Object.assign(this, { host, hooks, size: 0 });
    host.classList.add('virtual-grid');
    host.setAttribute('role', 'grid');
    host.setAttribute('aria-label', hooks.label);
    const { signal } = this.#stop;
    addEventListener('scroll', () => this.#soon(), { passive: true, signal });
    addEventListener('resize', () => this.#soon(), { passive: true, signal });
    host.addEventListener('keydown', (event) => this.#key(event), { signal });
    host.addEventListener('focusin', (event) => this.#focused(event.target), { signal });
    this.observer = new ResizeObserver(() => { if (host.clientWidth !== this.#width) this.#resize(); });
    this.observer.observe(host);
  }

  destroy() {
    this.#stop.abort();
    this.observer.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#settle);
    this.#forget();
    this.host.replaceChildren();
  }

  // --- content

  /** Replace all sections: `[{ title, count }]`; a section without a title has no header. */
  setSections(sections) {
    this.#forget();
    this.#clear();
    let first = 0;
    this.#blocks = sections.filter((one) => one.count > 0).map((section) => {
      const block = { ...section, first };
      first += section.count;
      return block;
    });
    this.size = first;
    this.#active = Math.min(this.#active, Math.max(0, first - 1));
    this.#arrange();
    this.#draw();
    this.#load();
  }

  /** Load the visible items again. */
  refresh() {
    this.#forget();
    this.#load();
  }

  /** Render all loaded items again, e.g. after a change of the selection. */
  redraw() {
    this.#each((cell, index) => this.#fill(cell, index));
  }

  /** Return a loaded item, or undefined. */
  item(index) {
    if (this.hooks.at) return this.hooks.at(index);
    return this.#pages.get(Math.floor(index / PAGE))?.items?.[index % PAGE];
  }

  /** Return the sections with `first` (item), `top` and `bottom` (pixels in the host). */
  get sections() {
    return this.#blocks;
  }

  /** Return the section at the top of the visible part, or undefined. */
  get section() {
    return this.size ? this.#blockAt(this.#hidden() + ROUNDING) : undefined;
  }

  // --- positions

  /** Return the first visible item and the pixels by which it is scrolled, or null at the top. */
  anchor() {
    const from = this.#hidden();
    if (from <= 0 || !this.size) return null;
    const block = this.#blockAt(from);
    const row = Math.max(0, Math.min(block.rows - 1, Math.floor((from - block.top - block.head) / this.#pitch)));
    return { index: block.first + row * this.#columns, offset: Math.round(from - this.#topOf(block, row)) };
  }

  /** Scroll to an anchor, also one of a grid with another width. */
  restore(anchor) {
    if (!anchor || !this.size) return;
    const index = Math.min(anchor.index, this.size - 1);
    const block = this.#blockOf(index);
    const top = this.#topOf(block, Math.floor((index - block.first) / this.#columns));
    this.#scroll(top + Math.max(-block.head, Math.min(anchor.offset, this.#pitch)));
  }

  /** Scroll the section of an item, or the row of the item, to the top. */
  scrollTo(index, section = false) {
    const block = this.#blockOf(index);
    if (!block) return;
    this.#scroll(section ? block.top : this.#topOf(block, Math.floor((index - block.first) / this.#columns)) - block.head);
  }

  /** The scroll position as a share of all rows, from 0 to 1. */
  get share() {
    return Math.max(0, Math.min(1, this.#hidden() / Math.max(1, this.#reach())));
  }

  set share(share) {
    this.#scroll(share * this.#reach());
  }

  /** Return the pixels by which the grid can be scrolled. */
  #reach() { return Math.max(1, this.host.clientHeight - (innerHeight - this.#cover())); }

  /** Focus an item, after scrolling to it if necessary. */
  focus(index) {
    if (!this.size) return;
    const to = Math.max(0, Math.min(this.size - 1, index));
    const block = this.#blockOf(to);
    const top = this.#topOf(block, Math.floor((to - block.first) / this.#columns));
    const from = this.#hidden();
    const cover = this.#cover();
    if (top < from + block.head) this.#scroll(top - block.head);
    else if (top + this.#shape.height > from + innerHeight - cover) this.#scroll(top + this.#shape.height - innerHeight + cover + this.#shape.gap);
    this.#activate(to);
    this.#draw();
    this.#cell(to)?.querySelector('a, button, [tabindex]')?.focus({ focusVisible: true, preventScroll: true });
  }

  /** Return the focused item, or undefined. */
  current() {
    const index = this.#indexOf(document.activeElement);
    return index < 0 ? undefined : this.item(index);
  }

  /** Move the focus by a key; return false if that leaves the grid. */
  move(key, whole = false) {
    const at = this.#indexOf(document.activeElement);
    if (!this.size) return false;
    if (at < 0) {
      this.focus(this.#active);
      return true;
    }
    const block = this.#blockOf(at);
    const place = at - block.first;
    const column = place % this.#columns;
    const page = Math.max(1, Math.floor((innerHeight - this.#cover()) / this.#pitch) - 1);
    const to = {
      ArrowLeft: () => at - 1,
      ArrowRight: () => at + 1,
      ArrowUp: () => this.#vertical(at, -1),
      ArrowDown: () => this.#vertical(at, 1),
      PageUp: () => this.#vertical(at, -page),
      PageDown: () => this.#vertical(at, page),
      Home: () => (whole ? 0 : at - column),
      End: () => (whole ? this.size - 1 : Math.min(at - column + this.#columns, block.first + block.count) - 1),
    }[key]?.();
    if (to === undefined || to < 0 || to >= this.size) return false;
    this.focus(to);
    return true;
  }

  /** Return the item some rows away in the same column, over section borders. */
  #vertical(at, rows) {
    let block = this.#blockOf(at);
    const column = (at - block.first) % this.#columns;
    let row = Math.floor((at - block.first) / this.#columns) + rows;
    while (row < 0) {
      const above = this.#blocks[block.number - 1];
      if (!above) return rows < -1 ? column : -1;
      block = above;
      row += block.rows;
    }
    while (row >= block.rows) {
      const below = this.#blocks[block.number + 1];
      if (!below) return rows > 1 ? this.size - 1 : this.size;
      row -= block.rows;
      block = below;
    }
    return block.first + Math.min(row * this.#columns + column, block.count - 1);
  }

  // --- layout

  #resize() {
    const anchor = this.anchor();
    this.#clear();
    this.#arrange();
    this.restore(anchor);
    this.#draw();
    this.#load();
  }

  #arrange() {
    this.#width = this.host.clientWidth;
    this.#shape = this.hooks.layout(this.#width);
    this.#columns = Math.max(1, this.#shape.columns);
    this.#pitch = this.#shape.height + this.#shape.gap;
    let top = 0;
    let line = 1; // of all rows, headers included
    this.#blocks.forEach((block, number) => {
      const head = block.title ? this.#shape.head : 0;
      const rows = Math.ceil(block.count / this.#columns);
      Object.assign(block, { number, top, head, rows, line, bottom: top + head + rows * this.#pitch });
      top = block.bottom;
      line += rows + (head ? 1 : 0);
    });
    this.host.style.blockSize = `${Math.max(0, top - this.#shape.gap)}px`;
    this.host.style.setProperty('--columns', String(this.#columns));
    this.host.style.setProperty('--cell-height', `${this.#shape.height}px`);
    this.host.style.setProperty('--cell-gap', `${this.#shape.gap}px`);
    this.host.style.setProperty('--head-height', `${this.#shape.head}px`);
    this.host.setAttribute('aria-rowcount', String(line - 1));
    this.host.setAttribute('aria-colcount', String(this.#columns));
    this.hooks.arranged?.();
  }

  #topOf(block, row) { return block.top + block.head + row * this.#pitch; }

  #blockOf(index) { return this.#find((block) => index < block.first + block.count); }

  #blockAt(pixels) { return this.#find((block) => pixels < block.bottom); }

  /** Return the first block that satisfies a monotonic condition, or the last block. */
  #find(condition) {
    let [low, high] = [0, this.#blocks.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (condition(this.#blocks[middle])) high = middle;
      else low = middle + 1;
    }
    return this.#blocks[low];
  }

  /** Return the pixels of the grid above the visible part, i.e. above the lower edge of the page header. */
  #hidden() { return this.#cover() - this.host.getBoundingClientRect().top; }

  /** Return the height of the sticky page header. */
  #cover() {
    const top = document.querySelector('.top');
    return top && getComputedStyle(top).position === 'sticky' ? top.offsetHeight : 0;
  }

  #scroll(pixels) {
    scrollTo({ top: scrollY + pixels - this.#hidden(), behavior: 'instant' });
    this.#draw();
    this.#soon();
  }

  // --- drawing

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
      const isSlow = Math.abs(scrollY - this.#lastTop) < innerHeight / 2;
      this.#lastTop = scrollY;
      if (isSlow) this.#load();
    });
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      this.#load();
      this.hooks.moved?.(this.anchor()?.index ?? 0);
    }, SETTLE_MS);
  }

  #clear() {
    this.#drawn.clear();
    this.host.replaceChildren();
  }

  /** Return the rows to draw as [block, first row, last row]. */
  #wanted() {
    const cover = this.#cover();
    const from = cover - this.host.getBoundingClientRect().top - MARGIN * innerHeight;
    const to = from + (1 + 2 * MARGIN) * innerHeight;
    const found = [];
    if (!this.size || to < 0) return found;
    for (let at = this.#blockAt(from).number; at < this.#blocks.length && this.#blocks[at].top <= to; at += 1) {
      const block = this.#blocks[at];
      const first = Math.max(0, Math.floor((from - block.top - block.head) / this.#pitch));
      const last = Math.min(block.rows - 1, Math.floor((to - block.top - block.head) / this.#pitch));
      found.push([block, first, last]);
    }
    return found;
  }

  #draw() {
    if (!this.host.isConnected || !this.#width) return;
    const wanted = new Map(this.#wanted().map(([block, first, last]) => [block.number, new Set(Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at))]));
    const held = this.#indexOf(document.activeElement); // its row stays, so that the focus is not lost
    if (held >= 0) {
      const block = this.#blockOf(held);
      if (!wanted.has(block.number)) wanted.set(block.number, new Set());
      wanted.get(block.number).add(Math.floor((held - block.first) / this.#columns));
    }
    for (const [number, drawn] of this.#drawn) {
      if (wanted.has(number)) continue;
      drop(drawn.node);
      this.#drawn.delete(number);
    }
    let after = null;
    for (const number of [...wanted.keys()].sort((a, b) => a - b)) {
      const drawn = this.#drawn.get(number) ?? this.#drawBlock(this.#blocks[number], after);
      this.#drawRows(this.#blocks[number], drawn, wanted.get(number));
      after = drawn.node;
    }
  }

  #drawBlock(block, after) {
    const node = el('div', { class: 'vg-block', role: 'rowgroup', 'aria-label': block.title || null });
    node.style.insetBlockStart = `${block.top}px`;
    node.style.blockSize = `${block.bottom - block.top}px`;
    if (block.head) {
      node.append(el('div', { class: 'vg-head', role: 'row', 'aria-rowindex': block.line },
        el('div', { role: 'gridcell', 'aria-colspan': this.#columns, 'aria-colindex': 1 }, el('h2', {}, block.title), block.note && el('span', { class: 'soft' }, block.note))));
    }
    if (after) after.after(node);
    else this.host.prepend(node);
    const drawn = { node, rows: new Map() };
    this.#drawn.set(block.number, drawn);
    return drawn;
  }

  #drawRows(block, drawn, wanted) {
    for (const [row, node] of drawn.rows) {
      if (wanted.has(row)) continue;
      drop(node);
      drawn.rows.delete(row);
    }
    let next = drawn.node.querySelector(':scope > .vg-row');
    for (const row of [...wanted].sort((a, b) => a - b)) {
      const node = drawn.rows.get(row) ?? this.#row(block, row);
      if (!drawn.rows.has(row)) {
        drawn.node.insertBefore(node, next);
        drawn.rows.set(row, node);
      }
      next = node.nextSibling;
    }
  }

  #row(block, row) {
    const node = el('div', { class: 'vg-row', role: 'row', 'aria-rowindex': block.line + (block.head ? 1 : 0) + row });
    node.style.insetBlockStart = `${block.head + row * this.#pitch}px`;
    const first = row * this.#columns;
    for (let place = first; place < Math.min(first + this.#columns, block.count); place += 1) {
      const index = block.first + place;
      const cell = el('div', { class: 'vg-cell', role: 'gridcell', 'aria-colindex': place - first + 1, data: { index } });
      this.#fill(cell, index);
      node.append(cell);
    }
    return node;
  }

  /** Draw an item, or its skeleton while it is not loaded. */
  #fill(cell, index) {
    const item = this.item(index);
    const focused = cell.contains(document.activeElement);
    cell.setAttribute('aria-busy', String(!item));
    cell.replaceChildren(item ? this.hooks.render(item, index) : el('a', { class: 'vg-skeleton', 'aria-label': 'Loading', role: 'link', 'aria-disabled': 'true', tabindex: -1 }));
    this.#rove(cell, index);
    if (focused) cell.querySelector('a, button, [tabindex]')?.focus({ focusVisible: true, preventScroll: true });
  }

  /** Let Tab reach the active item only. */
  #rove(cell, index) {
    for (const node of cell.querySelectorAll('a, button, input')) node.tabIndex = index === this.#active ? 0 : -1;
  }

  #each(apply) {
    for (const cell of this.host.querySelectorAll('.vg-cell')) apply(cell, Number(cell.dataset.index));
  }

  #cell(index) { return this.host.querySelector(`.vg-cell[data-index="${index}"]`); }

  #indexOf(node) {
    const cell = node?.closest?.('.vg-cell');
    return cell && this.host.contains(cell) ? Number(cell.dataset.index) : -1;
  }

  #activate(index) {
    const before = this.#active;
    this.#active = index;
    for (const one of new Set([before, index])) {
      const cell = this.#cell(one);
      if (cell) this.#rove(cell, one);
    }
  }

  #focused(node) {
    const index = this.#indexOf(node);
    if (index >= 0 && index !== this.#active) this.#activate(index);
  }

  #key(event) {
    if (event.altKey || event.metaKey || event.shiftKey || (event.ctrlKey && !['Home', 'End'].includes(event.key))) return;
    if (event.target.matches('input, select, textarea')) return;
    if (this.move(event.key, event.ctrlKey)) event.preventDefault();
  }

  // --- items

  #forget() {
    for (const page of this.#pages.values()) page.stop?.abort();
    this.#pages.clear();
  }

  /** Request the pages near the viewport, and stop the other requests. */
  #load() {
    if (!this.hooks.load) return;
    const wanted = new Set();
    for (const [block, first, last] of this.#wanted()) {
      if (last < first) continue;
      const from = Math.floor((block.first + first * this.#columns) / PAGE);
      const to = Math.floor((block.first + Math.min((last + 1) * this.#columns, block.count) - 1) / PAGE);
      for (let page = from; page <= to; page += 1) wanted.add(page);
    }
    for (const [number, page] of this.#pages) {
      if (page.items || wanted.has(number)) continue;
      page.stop?.abort();
      this.#pages.delete(number);
    }
    for (const number of wanted) {
      const page = this.#pages.get(number);
      if (!page || (page.failedAt && performance.now() - page.failedAt > RETRY_MS)) this.#request(number);
    }
    if (this.#pages.size > MAX_PAGES) this.#evict(wanted);
  }

  #evict(wanted) {
    const middle = [...wanted][wanted.size >> 1] ?? 0;
    const far = [...this.#pages.keys()].filter((one) => !wanted.has(one)).sort((a, b) => Math.abs(b - middle) - Math.abs(a - middle));
    for (const number of far.slice(0, this.#pages.size - MAX_PAGES)) this.#pages.delete(number);
  }

  #request(number) {
    const page = { items: null, stop: new AbortController(), failedAt: 0 };
    this.#pages.set(number, page);
    const received = (items) => {
      if (this.#pages.get(number) !== page) return;
      page.items = items;
      page.stop = null;
      this.#each((cell, index) => { if (Math.floor(index / PAGE) === number) this.#fill(cell, index); });
    };
    this.hooks.load(number * PAGE, PAGE, page.stop.signal).then(received).catch((error) => {
      if (error.name === 'AbortError' || this.#pages.get(number) !== page) return;
      page.failedAt = performance.now();
      this.hooks.failed?.(error);
    });
  }
}

/** Remove a node, and stop loading its pictures, which would delay those that are visible. */
function drop(node) {
  for (const picture of node.querySelectorAll('img')) if (!picture.complete) picture.removeAttribute('src');
  node.remove();
}

/** Return a layout of cells at least `least` pixels wide, with pictures of a ratio and lines of text below. */
export function cells(width, { least = 200, ratio = 1.5, below = 44, gap = 12, head = 48, most = 12, fewest = 1 } = {}) {
  const columns = Math.max(fewest, Math.min(most, Math.floor((width + gap) / (least + gap))));
  return { columns, height: Math.round((width - (columns - 1) * gap) / columns / ratio + below), gap, head };
}
