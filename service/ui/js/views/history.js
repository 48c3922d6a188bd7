// Earlier jobs, newest first.
import { html, nothing, repeat } from "../lit.js";
import { ago, ending, title } from "../words.js";
import { stored } from "./figure.js";
import { problemBox } from "./problem.js";

export function historyList(app) {
  const { history } = app;
  return html`
    <section class="history" aria-labelledby="history-title">
      <h2 id="history-title">History</h2>
      ${history.problem
        ? html`${problemBox(history.problem)}<button class="plain" @click=${() => history.load()}>Try again</button>`
        : nothing}
      ${history.loaded && !history.jobs.length ? html`<p class="quiet">Your pictures will be listed here.</p>` : nothing}
      <ul>
        ${repeat(history.jobs, ({ id }) => id, (job) => entry(app, job))}
      </ul>
      ${history.next ? html`<button class="plain" @click=${() => history.load({ more: true })}>Earlier ones</button>` : nothing}
    </section>
  `;
}

function entry(app, job) {
  const image = job.result?.images?.[0]?.url ?? app.sources.get(job.id) ?? job.request?.image_url;
  return html`
    <li>
      <a href="#/jobs/${job.id}" aria-current=${app.watched?.job.id === job.id ? "page" : nothing}>
        <span class="thumb" data-state=${job.state}>${image ? stored(app, image) : nothing}</span>
        <span class="words"><b>${title(job)}</b><span class="quiet small">${ending(job)} · ${ago(job.created_at)}</span></span>
      </a>
    </li>
  `;
}
