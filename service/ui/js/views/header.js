import { html, nothing } from "../lit.js";
import { icon, mark } from "./icons.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");
const STATES = { ready: "Ready", loading: "Getting ready", unreachable: "Not reachable", unknown: "…" };

export const header = (app) => html`
  <header class="top">
    <a class="name" href="#/" aria-label="Anatomend, start page">${mark}<span>Anatomend</span></a>
    <span class="health" data-state=${app.service.state} title=${app.service.detail}>${STATES[app.service.state]}</span>
    ${app.keys.current ? keyButton(app) : nothing}
    <button class="icon-button" @click=${() => turn(app)} aria-label=${isDark() ? "Use light colours" : "Use dark colours"}>
      ${icon(isDark() ? "sun" : "moon")}
    </button>
  </header>
`;

const keyButton = (app) => html`
  <button class="icon-button" @click=${() => forget(app)} aria-label="Forget the API key" title="Forget the API key">
    ${icon("key")}
  </button>
`;

function forget(app) {
  app.keys.forget();
  location.reload(); // what the key could see must go from the page too
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : DARK.matches;
}

function turn(app) {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("anatomend.theme", theme);
  app.update();
}
