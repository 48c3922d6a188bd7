import { svg, html } from "../lit.js";

const PATHS = {
  add: svg`<path d="M10 4v12M4 10h12"/>`,
  brush: svg`<path d="M16.5 3.5 9 11M6.5 11.5c1.7 0 3 1.3 3 2.8 0 1.7-1.5 2.7-3.3 2.7-1.4 0-2.7-.7-3.2-1.5 1.6-.3 1.3-1.3 1.5-2.1.2-1.1 1-1.9 2-1.9z"/>`,
  compare: svg`<path d="M7.5 6 3.5 10l4 4M12.5 6l4 4-4 4"/>`,
  close: svg`<path d="m5 5 10 10M15 5 5 15"/>`,
  download: svg`<path d="M10 3v9.5M6 9l4 4 4-4M4 16.5h12"/>`,
  key: svg`<circle cx="7" cy="13" r="3.2"/><path d="m9.4 10.6 6.6-6.6M13.5 6.5l2 2"/>`,
  link: svg`<path d="M8.5 11.5a3 3 0 0 0 4.3 0l2.7-2.7a3 3 0 0 0-4.3-4.3L10 5.7M11.5 8.5a3 3 0 0 0-4.3 0l-2.7 2.7a3 3 0 0 0 4.3 4.3L10 14.3"/>`,
  moon: svg`<path d="M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8z"/>`,
  again: svg`<path d="M15.5 10a5.5 5.5 0 1 1-1.7-4M14 2.5V6h-3.5"/>`,
  report: svg`<path d="M5.5 3h6L15 6.5V17H5.5zM8 9.5h4.5M8 12.5h4.5"/>`,
  sun: svg`<circle cx="10" cy="10" r="3.3"/><path d="M10 2.5v2M10 15.5v2M2.5 10h2M15.5 10h2M4.7 4.7l1.4 1.4M13.9 13.9l1.4 1.4M15.3 4.7l-1.4 1.4M6.1 13.9l-1.4 1.4"/>`,
  undo: svg`<path d="M7.5 4 4 7.5 7.5 11M4.5 7.5H12a4 4 0 0 1 0 8H8"/>`,
};

/** A small drawing beside words, or inside a button that has a label. */
export const icon = (name) => html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true">${PATHS[name]}</svg>`;

export const mark = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <path d="M5 11V7.5A2.5 2.5 0 0 1 7.5 5H11M21 5h3.5A2.5 2.5 0 0 1 27 7.5V11M27 21v3.5a2.5 2.5 0 0 1-2.5 2.5H21M11 27H7.5A2.5 2.5 0 0 1 5 24.5V21"/>
  <circle cx="16" cy="16" r="4.5"/>
</svg>`;
