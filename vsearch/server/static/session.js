// Sign-in with the token of the server.

import * as api from './api.js';
import { $ } from './dom.js';

/** Show the sign-in dialog until the token is correct. */
export function ask() {
  const dialog = $('sign-in');
  if (!dialog.open) dialog.showModal();
  dialog.oncancel = (event) => event.preventDefault();
  dialog.onclose = () => dialog.showModal(); // required
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
        $('token-wrong').textContent = [401, 403].includes(error.status) ? 'Wrong token.' : error.detail;
        $('token-wrong').hidden = false;
        $('token').select();
      }
    };
  });
}

/** Sign in with the token in the URL fragment, and remove it from the URL. */
export async function signInFromUrl() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(history.state, '', location.pathname + location.search);
  await api.post('/session', { token }).catch(() => {});
}
