// Apply the stored theme before the first paint.
(() => {
  try {
    const theme = localStorage.getItem('vsearch.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch { /* no storage: use the system theme */ }
})();
