import { html, nothing } from "../lit.js";
import { allowedText } from "../problem.js";
import { icon } from "./icons.js";

/** What went wrong and what would have been accepted; `dismiss` takes it away. */
export function problemBox(problem, dismiss) {
  if (!problem) return nothing;
  const allowed = allowedText(problem.allowed);
  return html`
    <div class="problem" role="alert">
      <div>
        <p>${problem.detail}</p>
        ${allowed ? html`<p class="small"><span class="quiet">Allowed:</span> ${allowed}</p>` : nothing}
        ${problem.errors.length > 1 ? errorList(problem.errors) : nothing}
        ${problem.retryAfter ? html`<p class="small quiet">Try again in ${problem.retryAfter} s.</p>` : nothing}
        <p class="code small quiet">${problem.code}${problem.id ? html` · ${problem.id}` : nothing}</p>
      </div>
      ${dismiss
        ? html`<button class="icon-button" @click=${dismiss} aria-label="Dismiss">${icon("close")}</button>`
        : nothing}
    </div>
  `;
}

const errorList = (errors) => html`
  <ul class="small">
    ${errors.map(({ parameter, message, allowed }) => html`<li><code>${parameter}</code>: ${message}. ${allowedText(allowed)}</li>`)}
  </ul>
`;
