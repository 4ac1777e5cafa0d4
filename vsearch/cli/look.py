"""How pages of pictures look: a grid of cards, light or dark, on any width."""

LOOK = """\
:root { color-scheme: light dark; --accent: light-dark(#0a6c74, #5ed0d8);
  --page: light-dark(#f6f5f2, #14161a); --card: light-dark(#fff, #1e2126);
  --ink: light-dark(#1b1c1e, #eceae4); --soft: light-dark(#5f6166, #a3a49f);
  --line: light-dark(#dcdad3, #33373e); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 78rem; margin: 0 auto;
  padding: clamp(1.25rem, 4vw, 3rem) clamp(1rem, 3vw, 2rem); }
h1 { font-size: clamp(1.35rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .35rem;
  letter-spacing: -.015em; overflow-wrap: anywhere; }
p { margin: 0; color: var(--soft); }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 1.1rem; list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border: 1px solid var(--line); border-radius: .8rem;
  overflow: hidden; scroll-margin-top: 1rem; }
li:target { border-color: var(--accent); box-shadow: 0 0 0 2px var(--accent); }
.shot { position: relative; display: block; color: inherit; text-decoration: none;
  background: #000; }
img, .none { display: block; width: 100%; aspect-ratio: 16/9; object-fit: contain; }
.none { display: grid; place-items: center; color: #bbb; }
.shot:hover img, .shot:focus-visible img { filter: brightness(1.12); }
.at { position: absolute; left: .5rem; bottom: .5rem; padding: .1rem .5rem; border-radius: .4rem;
  background: rgb(0 0 0 / .72); color: #fff; font-size: .85rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
@media (max-width: 26rem) { ol { gap: .8rem; } }\
"""
