// A job that succeeded: its pictures, what was found and done, and what can be taken away.
import { html, nothing } from "../lit.js";
import * as words from "../words.js";
import { figure, stored } from "./figure.js";
import { icon } from "./icons.js";
import { regionList, toggle, turned } from "./regions.js";

export function finished(app, job) {
  const { images } = job.result;
  const image = images[app.look.picture] ?? images[0];
  const facts = [`${image.width} × ${image.height}`, `seed ${image.seed}`, took(job), words.runs(image.sampling)];
  return html`
    ${heading(job, words.outcome(image.outcome), image.outcome, facts)} ${tools(app, image)} ${pictureOf(app, job, image)}
    ${images.length > 1 ? others(app, images) : nothing} ${actions(app, job, image)}
    ${outcomeText(image)} ${unusedList(image.unused ?? [])} ${image.regions.length ? regionList(app, image) : nothing}
  `;
}

/** What the outcome alone does not say. */
function outcomeText(image) {
  if (image.outcome === "clean" && !image.regions.length) {
    return html`<p class="quiet">Nothing malformed was found, so nothing was changed.</p>`;
  }
  return image.reason ? html`<p class="quiet">${words.sentence(image.reason)}</p>` : nothing;
}

/** The inputs that had no effect, each with its reason. */
function unusedList(unused) {
  if (!unused.length) return nothing;
  return html`
    <section aria-labelledby="unused-title">
      <h2 id="unused-title">Had no effect</h2>
      <ul class="unused">
        ${unused.map(({ name, reason, where }) => html`<li><b>${name}</b>${where ? ` (${where})` : nothing}<span class="quiet">${words.sentence(reason)}</span></li>`)}
      </ul>
    </section>
  `;
}

export const heading = (job, outcome, tone, facts) => html`
  <div class="title">
    <h1>${words.title(job)}</h1>
    <p class="meta"><span class="badge" data-tone=${tone}>${outcome}</span>${facts.filter(Boolean).map((fact) => html`<span class="quiet">${fact}</span>`)}</p>
  </div>
`;

function took(job) {
  const seconds = (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000;
  return Number.isFinite(seconds) ? `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` : null;
}

const isChanged = (image) => Boolean(image.original_url) && image.original_url !== image.url;
const modeOf = (app, image) => (isChanged(image) ? (app.look.mode ?? "compare") : "after");

function tools(app, image) {
  const mode = modeOf(app, image);
  const choice = (name, label) => html`<button aria-pressed=${mode === name} @click=${() => app.setLook({ mode: name })}>${label}</button>`;
  if (!isChanged(image) && !image.regions.length) return nothing;
  return html`
    <div class="tools" role="group" aria-label="How the picture is shown">
      ${isChanged(image)
        ? html`<div class="choice" role="group" aria-label="Which picture">${choice("before", "Before")}${choice("compare", "Compare")}${choice("after", "After")}</div>`
        : nothing}
      ${image.regions.length ? toggle("Boxes", app.look.boxes, () => app.setLook({ boxes: !app.look.boxes })) : nothing}
    </div>
  `;
}

function pictureOf(app, job, image) {
  const { look } = app;
  const mode = modeOf(app, image);
  const boxes = image.regions.map((region, index) => ({
    ...region,
    index,
    mended: region.accepted && mode !== "before",
    conf: mode === "before" ? region.conf_before : region.conf_after,
    was: region.accepted && mode !== "before" ? region.conf_before : undefined,
  }));
  const masks = image.regions.filter((region, index) => region.mask_url && look.masks.has(index));
  return figure(app, {
    ...image,
    mode,
    after: image.url,
    before: image.original_url,
    boxes: look.boxes ? boxes.filter(({ index }) => !look.hidden.has(index)) : [],
    masks: masks.map(({ mask_url }) => mask_url),
    heat: null,
    alt: words.title(job),
    choose: showRegion,
  });
}

function showRegion(index) {
  const card = document.querySelector(`#region-${index}`);
  card.scrollIntoView({ block: "nearest", behavior: "smooth" });
  card.focus({ preventScroll: true });
}

const others = (app, images) => html`
  <div class="strip" role="group" aria-label="Pictures of this job">
    ${images.map(
      (image, index) => html`
        <button aria-pressed=${index === app.look.picture} aria-label="Picture ${index + 1}: ${words.outcome(image.outcome)}"
          @click=${() => app.setLook({ picture: index, hidden: new Set(), masks: new Set() })}>
          ${stored(app, image.url)}
        </button>
      `,
    )}
  </div>
`;

const actions = (app, job, image) => html`
  <div class="row actions">
    <button class="plain" @click=${() => app.savePicture(image)}>${icon("download")}Picture</button>
    ${shared(app, job)}
    <button class="plain" @click=${() => app.remake(job, image.url)}>${icon("brush")}Mark by hand</button>
    <button class="plain" @click=${() => app.remake(job)}>${icon("again")}Use its settings</button>
  </div>
`;

const shared = (app, job) => html`
  <button class="plain" @click=${() => app.saveReport(job)}>${icon("report")}Report</button>
  ${app.copied === "by hand"
    ? html`<input class="address" readonly aria-label="Address of this job" .value=${location.href} @focus=${(event) => event.target.select()}>`
    : html`<button class="plain" @click=${() => app.copyAddress()}>${icon("link")}${app.copied ? "Copied" : "Copy link"}</button>`}
`;

/** A job that only looked. */
export function detected(app, job) {
  const { result } = job;
  const { look } = app;
  const src = app.sources.get(job.id) ?? job.request?.image_url ?? result.image_url ?? null;
  const boxes = result.detections.map((seen, index) => ({ ...seen, index })).filter(({ index }) => look.boxes && !look.hidden.has(index));
  const malformed = result.detections.filter(({ class_name }) => words.isMalformed(class_name)).length;
  const told = malformed ? `${malformed} malformed` : "Nothing malformed";
  return html`
    ${heading(job, told, malformed ? "unrepaired" : "clean", [`${result.width} × ${result.height}`, took(job)])}
    <div class="tools" role="group" aria-label="How the picture is shown">
      ${toggle("Boxes", look.boxes, () => app.setLook({ boxes: !look.boxes }))}
      ${result.heatmap_url ? toggle("Heat map", look.heat, () => app.setLook({ heat: !look.heat })) : nothing}
    </div>
    ${figure(app, { ...result, mode: "after", after: src, boxes, masks: [], heat: look.heat ? result.heatmap_url : null, alt: "The picture that was looked at" })}
    <div class="row actions">${shared(app, job)}</div>
    <h2>${words.count(result.detections.length, "thing seen", "things seen")}</h2>
    <ul class="seen">${result.detections.map((seen, index) => row(app, seen, index))}</ul>
  `;
}

const row = (app, { class_name, conf }, index) => html`
  <li>
    <span data-tone=${words.isMalformed(class_name) ? "defect" : "sound"}>${words.className(class_name)}</span>
    <span class="number">${words.score(conf)}</span>
    ${toggle("Box", !app.look.hidden.has(index), () => app.setLook({ hidden: turned(app.look.hidden, index) }))}
  </li>
`;
