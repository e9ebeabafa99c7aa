"""The style sheet of a page: for wide and narrow screens, light and dark ones, and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --faint: #5b6570; --line: #d5dae0; --raised: #f5f7f9; --blue: #0072b2;
  --warning: #8a3c00; --warning-line: #d55e00; --warning-paper: #fff4ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e4e8ec; --faint: #9aa5b1; --line: #343c45; --raised: #1c2229; --blue: #4aa5dc;
    --warning: #ffb27a; --warning-line: #d55e00; --warning-paper: #2a1d14;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 3rem; max-width: 84rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.5rem 0 1rem; padding-top: .75rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1rem; line-height: 1.3; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { margin: 0 0 .4rem; max-width: 46rem; }
.summary p::first-letter { text-transform: uppercase; }
.status { color: var(--faint); }
.notices { margin: 1.25rem 0; padding: .75rem 1rem; border: 1px solid var(--warning-line); border-left-width: .4rem;
  border-radius: .3rem; background: var(--warning-paper); color: var(--warning); }
.notices h2 { border: 0; margin: 0 0 .25rem; padding: 0; font-size: 1rem; }
.notices ul { margin: 0; padding-left: 1.2rem; }
.notices li { max-width: 60rem; overflow-wrap: anywhere; }
.panels { display: grid; gap: 1.5rem 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.panels.pairs { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; max-width: 40rem; padding: .75rem; background: var(--raised); border: 1px solid var(--line);
  border-radius: .4rem; --paper: var(--raised); }
figcaption { color: var(--faint); font-size: .875rem; line-height: 1.4; margin-top: .25rem; }
svg { display: block; width: 100%; height: auto; max-width: 30rem; margin: 0 auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
section > h3 { margin-top: 1.5rem; font-size: .9375rem; }
.wide { overflow-x: auto; margin: 0 0 1.25rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; }
th { font-weight: 600; }
th[scope=row], .words { text-align: left; font-weight: 400; }
thead th { color: var(--faint); border-bottom-width: 2px; }
.facts { width: 100%; }
.facts th { width: 14rem; color: var(--faint); }
.facts td { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
summary { cursor: pointer; }
footer { margin-top: 2.5rem; color: var(--faint); font-size: .875rem; }
@media (max-width: 36rem) {
  .facts th, .facts td { display: block; width: auto; border: 0; padding: .1rem 0; }
  .facts td { border-bottom: 1px solid var(--line); padding-bottom: .4rem; }
  th, td { padding: .25rem .4rem; }
  th[scope=row], .words { white-space: normal; min-width: 5.5rem; max-width: 8rem; }
  .facts th[scope=row] { max-width: none; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --faint: #444; --line: #bbb; --raised: #fff; --blue: #0072b2;
    --warning: #000; --warning-paper: #fff; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  h2, h3 { break-after: avoid; break-inside: avoid; }
  figure, tr, .notices { break-inside: avoid; }
  .panels { grid-template-columns: 1fr 1fr; gap: .75rem; }
  .wide { overflow: visible; }
  th, td { white-space: normal; padding: .15rem .4rem; }
}
"""
