"""How pages look: on screens of any width, light and dark, and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --paper: #fff; --line: #d1d9e0;
  --shade: #f4f6f8; --accent: #0072b2; --warn: #b45309; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e6ea; --soft: #a3adb8; --paper: #191b1e; --line: #3d444d; --shade: #24272b;
    --accent: #58b4e8; --warn: #f0a04b; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  color: var(--ink); background: var(--paper); max-width: 66rem; margin: 0 auto;
  padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; margin: 1rem 0; }
code, pre { font: .9em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { background: var(--shade); border-radius: 3px; padding: 0 .25em; overflow-wrap: anywhere; }
h1 code { font-size: .85em; }
pre { background: var(--shade); border-radius: 4px; padding: .75rem 1rem; overflow-x: auto; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; }
thead th { border-bottom: 2px solid var(--line); font-weight: 600; }
tbody th, thead th.label { text-align: left; font-weight: 600; }
td.text, th.text { text-align: left; }
td.wide { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; }
.facts td, .facts th { white-space: normal; text-align: left; overflow-wrap: anywhere; }
.facts th { min-width: 8rem; }
.lead { border-left: 4px solid var(--accent); background: var(--shade); padding: .6rem 1rem; margin: 1rem 0; }
.lead.warn { border-color: var(--warn); }
.soft { color: var(--soft); }
details { margin: .75rem 0; }
summary { cursor: pointer; }
figure { margin: 1.5rem 0; }
figure.table { margin: 1rem 0; }
figure.table .scroll { margin: .25rem 0; }
figure img { display: block; height: auto; width: 100%; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { figure img { filter: invert(.9) hue-rotate(180deg); } }
math { font-size: 1.05rem; }
mtable.matrix { border: 0 solid; border-width: 0 1px; border-radius: .7em; margin: 0 .2em;
  padding: .15em .3em; }
mtable.aligned > mtr > mtd { text-align: left; padding: .35em 0; }
mtable.aligned > mtr > mtd:first-child { text-align: right; }
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --shade: #f4f4f4; --accent: #00507d;
    --warn: #8a4000; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  table { font-size: 8pt; }
  th, td { padding: .15rem .4rem; }
  figure, tr, .lead { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  figure img { filter: none; max-width: 100%; min-width: 0 !important; }
}
"""
