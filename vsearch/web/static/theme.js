// The theme a person chose, before anything is painted.
(() => {
  try {
    const theme = localStorage.getItem('vsearch.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch { /* no storage: the system's theme it is */ }
})();
