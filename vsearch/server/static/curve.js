// The seek bar: similarity curve, moments and playback position.

import * as api from './api.js';
import { clock, el } from './dom.js';

const SIDE = 10; // pixels left and right, so that the ends are clickable
const GRID = 120; // thumbnail times per video, rounded so that they are cached

export class Curve {
  #shape = null; // {times, heights 0..1}
  #moments = [];
  #now = null; // the current moment
  #hover = null; // seconds
  #timer = 0;

  /** `hooks`: seek(seconds). */
  constructor(hooks) {
    this.hooks = hooks;
    this.time = 0;
    this.duration = 0;
    this.video = null;
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.tip = el('div', { class: 'tip', hidden: true, 'data-testid': 'seek-thumbnail' }, el('img', { alt: '' }), el('span'));
    this.node = el('div', {
      class: 'seek', id: 'seek', role: 'slider', tabindex: 0, 'aria-label': 'Position, with a curve of the similarity to the query', 'aria-valuemin': 0, 'data-testid': 'seek',
    }, this.canvas, this.tip);
    this.#point();
    new ResizeObserver(() => this.draw()).observe(this.node);
    document.addEventListener('vsearch:theme', () => this.draw());
  }

  /** Show another video. */
  open(video) {
    this.video = video;
    this.duration = video.duration;
    this.#shape = null;
    this.#moments = [];
    this.#now = null;
    this.tip.hidden = true;
    this.node.dataset.curve = 'none';
    this.node.setAttribute('aria-valuemax', Math.round(video.duration));
    this.draw();
  }

  /** Show the curve returned by the server. */
  fit({ times, scores, baseline, max_score: maxScore }) {
    const low = baseline ?? Math.min(...scores);
    const high = Math.max(maxScore ?? -Infinity, ...scores, low + 1e-6);
    this.#shape = { times, heights: scores.map((score) => Math.min(1, Math.max(0, (score - low) / (high - low)))) };
    this.node.dataset.curve = String(times.length);
    this.draw();
  }

  mark(moments, now) {
    this.#moments = moments;
    this.#now = now;
    this.draw();
  }

  at(time) {
    this.time = time;
    this.node.setAttribute('aria-valuenow', Math.round(time * 10) / 10);
    this.node.setAttribute('aria-valuetext', `${clock(time)} of ${clock(this.duration)}`);
    this.draw();
  }

  #x(time) {
    return SIDE + (this.duration ? Math.min(1, time / this.duration) : 0) * (this.node.clientWidth - 2 * SIDE);
  }

  #seconds(event) {
    const box = this.node.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left - SIDE) / (box.width - 2 * SIDE))) * this.duration;
  }

  draw() {
    const [wide, high] = [this.node.clientWidth, this.node.clientHeight];
    if (!wide) return;
    const dense = Math.min(3, devicePixelRatio || 1);
    if (this.canvas.width !== Math.round(wide * dense) || this.canvas.height !== Math.round(high * dense)) {
      this.canvas.width = Math.round(wide * dense);
      this.canvas.height = Math.round(high * dense);
    }
    const look = getComputedStyle(this.node);
    const [accent, soft, line, ink] = ['--accent', '--soft', '--line', '--ink'].map((name) => look.getPropertyValue(name).trim());
    const pen = this.canvas.getContext('2d');
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, wide, high);
    const ground = high - 11;
    this.#bands(pen, ground, accent);
    if (this.#shape) this.#area(pen, ground, { accent, soft });
    pen.lineCap = 'round';
    stroke(pen, line, 4, this.#x(0), ground + 4, this.#x(this.duration), ground + 4);
    stroke(pen, ink, 4, this.#x(0), ground + 4, this.#x(this.time), ground + 4);
    for (const one of this.#moments) stroke(pen, accent, 4, this.#x(one.start) + 1, ground + 4, Math.max(this.#x(one.end) - 1, this.#x(one.start) + 2), ground + 4);
    if (this.#hover !== null) stroke(pen, soft, 1, this.#x(this.#hover), 4, this.#x(this.#hover), ground + 4);
    stroke(pen, ink, 2, this.#x(this.time), 5, this.#x(this.time), ground + 4);
    pen.fillStyle = ink;
    pen.beginPath();
    pen.arc(this.#x(this.time), ground + 4, 6, 0, 7);
    pen.fill();
  }

  /** Draw the moments as bands behind the curve. */
  #bands(pen, ground, accent) {
    pen.fillStyle = accent;
    for (const one of this.#moments) {
      pen.globalAlpha = one === this.#now ? 0.26 : 0.12;
      pen.beginPath();
      pen.roundRect(this.#x(one.start), 4, Math.max(3, this.#x(one.end) - this.#x(one.start)), ground, 4);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  #area(pen, ground, { accent, soft }) {
    const { times, heights } = this.#shape;
    const path = new Path2D();
    const points = times.map((time, at) => [this.#x(time), ground - 2 - heights[at] * (ground - 12)]);
    if (!points.length) return;
    points.unshift([this.#x(0), points[0][1]]);
    points.push([this.#x(this.duration), points.at(-1)[1]]);
    path.moveTo(...points[0]);
    for (let at = 1; at < points.length; at += 1) { // smooth, without overshooting the samples
      const [[x0, y0], [x1, y1]] = [points[at - 1], points[at]];
      const middle = (x0 + x1) / 2;
      path.bezierCurveTo(middle, y0, middle, y1, x1, y1);
    }
    const under = new Path2D(path);
    under.lineTo(points.at(-1)[0], ground);
    under.lineTo(points[0][0], ground);
    const split = this.#x(this.time);
    for (const [from, to, color, fill] of [[0, split, accent, 0.42], [split, this.node.clientWidth, soft, 0.22]]) {
      pen.save();
      pen.beginPath();
      pen.rect(from, 0, to - from, ground);
      pen.clip();
      pen.fillStyle = color;
      pen.strokeStyle = color;
      pen.globalAlpha = fill;
      pen.fill(under);
      pen.globalAlpha = 0.95;
      pen.lineWidth = 1.5;
      pen.stroke(path);
      pen.restore();
    }
  }

  /** Show a thumbnail on hover; seek on press and drag. */
  #point() {
    let down = false;
    const seek = (event) => this.hooks.seek(this.#seconds(event));
    this.node.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      down = true;
      this.node.setPointerCapture(event.pointerId);
      this.#look(event);
      seek(event);
    });
    this.node.addEventListener('pointermove', (event) => {
      this.#look(event);
      if (!down) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => seek(event), 60);
    });
    for (const name of ['pointerup', 'pointercancel']) {
      this.node.addEventListener(name, (event) => {
        if (down && name === 'pointerup') { clearTimeout(this.#timer); seek(event); }
        down = false;
        if (event.pointerType !== 'mouse') this.#away();
      });
    }
    this.node.addEventListener('pointerleave', () => { if (!down) this.#away(); });
  }

  #away() {
    this.#hover = null;
    this.tip.hidden = true;
    this.draw();
  }

  #look(event) {
    if (!this.video) return;
    this.#hover = this.#seconds(event);
    const half = Math.min(80, this.node.clientWidth / 2);
    this.tip.hidden = false;
    this.tip.style.insetInlineStart = `${Math.min(this.node.clientWidth - half, Math.max(half, this.#x(this.#hover)))}px`;
    this.tip.lastChild.textContent = clock(this.#hover, this.duration < 600);
    this.draw();
    clearTimeout(this.thumbnailTimer);
    this.thumbnailTimer = setTimeout(() => this.#thumbnail(), 40);
  }

  #thumbnail() {
    if (this.#hover === null) return;
    const step = Math.max(0.5, this.duration / GRID);
    const url = api.thumbnail(this.video.video_id, Math.min(Math.round(this.#hover / step) * step, Math.max(0, this.duration - 0.1)), 320);
    const picture = this.tip.firstChild;
    if (picture.getAttribute('src') !== url) picture.src = url;
  }
}

function stroke(pen, color, width, x0, y0, x1, y1) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}
