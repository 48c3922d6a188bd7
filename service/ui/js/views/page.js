import { html } from "../lit.js";
import { composer } from "./composer.js";
import { header } from "./header.js";
import { historyList } from "./history.js";
import { stage } from "./stage.js";

export const page = (app) => html`
  ${header(app)}
  <main class="frame" ?data-dragging=${app.dragging}>
    ${composer(app)} ${stage(app)} ${historyList(app)}
  </main>
  <footer class="foot quiet small">
    <span>Every decision is in the report; pixels outside a mask never change.</span>
    <a href="docs">HTTP description</a>
  </footer>
`;
