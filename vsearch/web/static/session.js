// Signing in, where the server asks for a token.

import * as api from './api.js';
import { $ } from './dom.js';

/** Ask for the token until it is the right one. */
export function ask() {
  const dialog = $('sign-in');
  if (!dialog.open) dialog.showModal();
  dialog.oncancel = (event) => event.preventDefault();
  dialog.onclose = () => dialog.showModal(); // nothing works without it
  return new Promise((resolve) => {
    dialog.querySelector('form').onsubmit = async (event) => {
      event.preventDefault();
      try {
        await api.post('/session', { token: $('token').value.trim() });
        $('token').value = '';
        $('token-wrong').hidden = true;
        dialog.onclose = null;
        dialog.close();
        resolve();
      } catch (error) {
        $('token-wrong').textContent = [401, 403].includes(error.status) ? 'This is not the token.' : error.detail;
        $('token-wrong').hidden = false;
        $('token').select();
      }
    };
  });
}

/** A token that came in the address goes to the server, and out of the address. */
export async function carried() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(history.state, '', location.pathname + location.search);
  await api.post('/session', { token }).catch(() => {});
}
