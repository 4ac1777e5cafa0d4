// A video of the library: its picture, one line of facts and a menu.

import * as api from './api.js';
import { clock, el, icon, tool } from './dom.js';
import { link, where } from './route.js';

const WIDE = 1.2; // pictures of a lower ratio of width to height are shown whole
const STATUS = {
  offline: ['Offline', 'The drive or folder of this video is not connected. Its pictures and words can be found; it plays when the drive is back.'],
  missing: ['Missing', 'The file was moved or deleted. If it was moved, index the folder where it is now.'],
};

/** Create the card of a video; `hooks`: open(video), menu(video, button). */
export function card(video, hooks) {
  const [mark, explanation] = STATUS[video.file_status] ?? [];
  const taken = date(video);
  const note = [video.is_photo ? 'photo' : clock(video.duration), taken.long, mark?.toLowerCase()].filter(Boolean).join(', ');
  const open = el('a', {
    class: 'open', href: link({ ...where(), v: video.video_id, t: 0 }), 'aria-label': `${video.name}, ${note}`, title: mark ? `${video.path}\n${explanation}` : video.path, 'data-testid': 'video-open',
    onclick: (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      hooks.open(video);
    },
  }, picture(video), !video.is_photo && el('span', { class: 'badge' }, clock(video.duration)), mark && el('span', { class: 'mark', 'data-testid': 'video-mark' }, icon('warn'), mark));
  return el('div', { class: mark ? 'vcard gone' : 'vcard', 'data-testid': 'video', data: { video: video.video_id } },
    open,
    el('div', { class: 'about-video' },
      el('div', { class: 'words' }, el('p', { class: 'name', dir: 'auto' }, video.name), el('p', { class: 'soft' }, facts(video, taken))),
      tool('dots', `More about ${video.name}`, (event) => hooks.menu(video, event.currentTarget), { 'data-testid': 'video-menu', 'aria-haspopup': 'menu' })));
}

/** Create the picture of a video; an upright one is whole, on a blurred ground. */
function picture(video) {
  const source = api.thumbnail(video.video_id, Math.min(video.duration / 3, 20), 320);
  const isUpright = video.width < WIDE * video.height;
  const front = el('img', { class: isUpright ? 'thumbnail whole' : 'thumbnail', alt: '', decoding: 'async', src: source });
  const ground = isUpright && el('img', { class: 'thumbnail ground', alt: '', decoding: 'async', src: source });
  front.addEventListener('error', () => {
    if (ground) ground.remove();
    front.replaceWith(el('span', { class: 'thumbnail missing' }, icon('film')));
  });
  return [ground, front];
}

/** Return the local time of a recording as short and long text. */
function date(video) {
  const time = new Date(video.local_time);
  if (Number.isNaN(time.getTime())) return { short: '', long: '' };
  const year = time.getFullYear() === new Date().getFullYear() ? undefined : 'numeric';
  return {
    short: time.toLocaleDateString('en', { day: 'numeric', month: 'short', year }),
    long: time.toLocaleDateString('en', { day: 'numeric', month: 'long', year: 'numeric' }),
  };
}

const facts = (video, taken) => [taken.short, video.keyframes_only && 'key frames only'].filter(Boolean).join(' \u00b7 ');

// --- the menu

/** Open a menu below a button; `items` are [icon, label, action, test id]. */
export function menu(button, label, items) {
  const gone = new AbortController();
  const close = () => {
    gone.abort();
    node.remove();
  };
  const node = el('div', { class: 'menu', role: 'menu', 'aria-label': label, popover: 'auto', 'data-testid': 'menu' }, items.filter(Boolean).map(([name, text, action, id]) => el('button', {
    type: 'button', role: 'menuitem', tabindex: -1, 'data-testid': id,
    onclick: () => {
      close();
      button.focus({ preventScroll: true });
      action();
    },
  }, icon(name), text)));
  node.addEventListener('toggle', (event) => { if (event.newState === 'closed') close(); });
  node.addEventListener('keydown', (event) => {
    const all = [...node.children];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === 'Tab') close();
    if (event.key === 'Escape') { // which leaves the view elsewhere
      event.preventDefault();
      close();
      button.focus({ preventScroll: true });
    }
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    all[(to + all.length) % all.length].focus();
  });
  (document.getElementById('main') ?? document.body).append(node);
  node.showPopover();
  place(node, button.getBoundingClientRect());
  node.firstElementChild.focus({ preventScroll: true });
  const from = scrollY;
  addEventListener('scroll', () => { if (Math.abs(scrollY - from) > 40) close(); }, { passive: true, signal: gone.signal });
}

function place(node, box) {
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = box.bottom + height + 8 < innerHeight;
  node.style.insetInlineStart = `${Math.max(8, Math.min(innerWidth - width - 8, box.right - width))}px`;
  node.style.insetBlockStart = `${Math.max(8, below ? box.bottom + 4 : box.top - height - 4)}px`;
}
