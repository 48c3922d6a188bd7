// A job that waits or is at work.
import { html, nothing } from "../lit.js";
import * as words from "../words.js";
import { figure } from "./figure.js";
import { attempts } from "./regions.js";

export function running(app, watched) {
  const { job } = watched;
  return html`
    <div class="row between title">
      <h1>${words.title(job)}</h1>
      <button class="plain" @click=${() => app.cancel(job)}>Cancel</button>
    </div>
    ${picture(app, watched)} ${progress(job)}
    ${watched.found.length ? found(watched.found) : nothing}
  `;
}

function picture(app, watched) {
  const { job } = watched;
  const src = watched.preview ?? app.sources.get(job.id) ?? job.request?.image_url ?? null;
  if (!src) return html`<div class="figure waiting" aria-hidden="true"></div>`;
  const size = sizeOf(app, job);
  if (!size) return html`<div class="figure natural"><img src=${src} alt="The picture so far" @load=${() => app.update()}></div>`;
  const boxes = (watched.regions.get(watched.picture) ?? []).map((region, index) => ({ ...region, index, mended: isMended(region) }));
  return figure(app, { ...size, mode: "after", after: src, before: null, boxes, masks: [], heat: null, alt: "The picture so far" });
}

/** The picture's own size: as asked for, as the model makes it, or as the picture that is shown tells. */
function sizeOf(app, job) {
  const { width, height } = job.request ?? {};
  if (width && height) return { width, height };
  if (job.kind === "generate") {
    const [w, h] = [width ?? app.service.default("width"), height ?? app.service.default("height")];
    if (w && h) return { width: w, height: h };
  }
  const image = document.querySelector("#stage .figure.natural img");
  return image?.naturalWidth ? { width: image.naturalWidth, height: image.naturalHeight } : null;
}

const isMended = ({ attempts }) => attempts.some(({ verdict }) => verdict === "accepted");

function progress({ state, position, progress }) {
  const told = state === "queued" ? words.position(position) : progress ? words.phase(progress.phase) : "Beginning";
  const share = state === "running" && progress?.total ? progress.done / progress.total : null;
  return html`
    <div class="progress">
      <div class="row between"><span>${told}</span>${share === null ? nothing : html`<span class="quiet number">${progress.done} of ${progress.total}</span>`}</div>
      ${share === null
        ? html`<progress aria-label=${told}></progress>`
        : html`<progress max="1" .value=${share} aria-label=${told}></progress>`}
    </div>
  `;
}

const found = (regions) => html`
  <h2>Found so far</h2>
  <ul class="regions">
    ${regions.map(
      (region) => html`
        <li class="card region" data-tone=${isMended(region) ? "mended" : "defect"}>
          <div class="row between">
            <h3>${words.className(region.class_name)}</h3>
            <span class="quiet number">${words.score(region.conf)}</span>
          </div>
          ${region.attempts.length ? attempts(region.attempts, true) : html`<p class="quiet small">Not tried yet</p>`}
        </li>
      `,
    )}
  </ul>
`;
