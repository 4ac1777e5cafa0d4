// Notices above the library: words that are missing, drives that are not connected.

import { count, el, icon } from './dom.js';
import { ended } from './working.js';

const STORE = 'vsearch.notices';

const dismissed = () => {
  try { return JSON.parse(localStorage.getItem(STORE) ?? '{}') ?? {}; } catch { return {}; }
};

function dismiss(name, number) {
  try { localStorage.setItem(STORE, JSON.stringify({ ...dismissed(), [name]: number })); } catch { /* no storage */ }
}

/** Draw the notices; `actions`: transcribe(source), show(lacking), jobs. */
export function drawNotices(place, about, actions) {
  const draw = () => place.replaceChildren(...[words(about, actions, draw), files(about, draw)].flat().filter(Boolean));
  draw();
}

function words(about, actions, draw) {
  const isRunning = actions.jobs.some((job) => job.kind === 'transcribe' && !ended(job));
  const { lacking_speech_count: speech = 0, lacking_ocr_count: ocr = 0, permissions = {} } = about;
  if (isRunning) return null;
  const seen = dismissed();
  if (speech > (seen.speech ?? 0)) {
    return notice('speech', 'speech', `${count(speech, 'video has', 'videos have')} no transcript, so what is said in ${speech === 1 ? 'it' : 'them'} is not found.${permissions.transcribe ? '' : ' Speech recognition is not installed on this server; its administrator can add it.'}`, [
      permissions.transcribe && ['Transcribe', () => actions.transcribe('speech'), 'transcribe-all'],
      ['Show', () => actions.show('speech'), 'show-lacking'],
    ], () => { dismiss('speech', speech); draw(); });
  }
  if (permissions.ocr && ocr > (seen.ocr ?? 0)) {
    return notice('ocr', 'screen', `The text on the screen of ${count(ocr, 'video')} was not read yet, so it is not found.`, [
      ['Read it', () => actions.transcribe('ocr'), 'ocr-all'],
      ['Show', () => actions.show('ocr'), 'show-lacking'],
    ], () => { dismiss('ocr', ocr); draw(); });
  }
  return null;
}

function files(about, draw) {
  const { offline_count: offline = 0, missing_count: missing = 0 } = about;
  const seen = dismissed();
  return [
    offline > (seen.offline ?? 0) && notice('offline', 'warn', `${count(offline, 'video is', 'videos are')} offline: the drive or folder is not connected. ${offline === 1 ? 'It is' : 'They are'} still found, and ${offline === 1 ? 'plays' : 'play'} when it is back.`, [], () => { dismiss('offline', offline); draw(); }),
    missing > (seen.missing ?? 0) && notice('missing', 'warn', `${count(missing, 'file was', 'files were')} moved or deleted. Add the folder where ${missing === 1 ? 'it is' : 'they are'} now, or remove ${missing === 1 ? 'it' : 'them'} from the library.`, [], () => { dismiss('missing', missing); draw(); }),
  ];
}

const notice = (name, symbol, text, actions, close) => el('div', { class: 'note', role: 'note', 'data-testid': `notice-${name}` }, icon(symbol), el('p', {}, text),
  el('span', { class: 'acts' }, actions.filter(Boolean).map(([label, run, id], at) => el('button', { type: 'button', class: at ? 'quiet' : 'button', 'data-testid': id, onclick: run }, label)),
    el('button', { type: 'button', class: 'quiet', 'data-testid': 'notice-close', onclick: close }, 'Not now')));
