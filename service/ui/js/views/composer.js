// The form: words, a picture, options; and the buttons that send it.
import { html, live, nothing } from "../lit.js";
import { PICTURE_FIELDS, REPAIR_FIELDS } from "../draft.js";
import { className, isMalformed } from "../words.js";
import { icon } from "./icons.js";
import { problemBox } from "./problem.js";

export function composer(app) {
  const { draft } = app;
  const kind = draft.file ? "repair" : "generate";
  const submit = (event) => {
    event.preventDefault();
    app.submit(kind);
  };
  return html`
    <section class="composer" aria-labelledby="composer-title">
      <h2 id="composer-title" class="unseen">Make or repair a picture</h2>
      <form class="stack" @submit=${submit} @keydown=${(event) => sendByKey(event)} novalidate>
        <div class="card prompt">
          <label for="prompt" class="label">${draft.file ? "What the picture shows" : "Prompt"}</label>
          <textarea id="prompt" rows="3" .value=${live(draft.prompt)} @input=${(event) => app.edit({ prompt: event.target.value })}
            placeholder=${draft.file ? "Helps the redrawing; may stay empty" : "an open hand, palm forward"}></textarea>
          <div class="row between">${attachment(app)} ${sendButtons(app, kind)}</div>
        </div>
        ${problemBox(app.problem, () => app.set({ problem: null }))} ${pictureOptions(app, kind)} ${repairOptions(app, kind)}
      </form>
    </section>
  `;
}

function sendByKey(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
}

function attachment(app) {
  if (app.draft.file) {
    return html`
      <span class="attached">
        <img src=${app.fileUrl} alt="The picture to repair">
        <button type="button" class="icon-button" @click=${() => app.attach(null)} aria-label="Take the picture away">
          ${icon("close")}
        </button>
      </span>
    `;
  }
  return html`
    <label class="plain button add">
      ${icon("add")}<span>Picture</span>
      <input type="file" class="unseen" accept="image/png,image/jpeg,image/webp" aria-label="Choose a picture to repair"
        @change=${(event) => choose(app, event.target)}>
    </label>
  `;
}

function choose(app, input) {
  if (input.files[0]) app.attach(input.files[0]);
  input.value = ""; // so that the same file can be chosen again
}

const sendButtons = (app, kind) => html`
  <span class="row">
    ${kind === "repair"
      ? html`<button type="button" class="plain" ?disabled=${app.sending} @click=${() => app.submit("detect")}>Only look</button>`
      : nothing}
    <button type="submit" class="main" ?disabled=${app.sending}>${kind === "repair" ? "Repair" : "Generate"}</button>
  </span>
`;

const pictureOptions = (app, kind) => html`
  <details class="card fold">
    <summary>Options</summary>
    <div class="fields">
      ${PICTURE_FIELDS.filter(({ only }) => !only || only === kind).map((field) => input(app, field))}
      ${kind === "generate" ? watchOptions(app) : nothing}
    </div>
  </details>
`;

const watchOptions = (app) => html`
  ${check(app.draft.watch, "Watch it being made: stop a hopeless one, try another seed", (watch) => app.edit({ watch }))}
  ${app.draft.watch
    ? check(app.draft.inFlight, "First sample a single bad place again", (inFlight) => app.edit({ inFlight }))
    : nothing}
`;

const repairOptions = (app, kind) => html`
  <details class="card fold">
    <summary>Repair settings</summary>
    <div class="fields">
      ${kind === "generate"
        ? check(app.draft.repair, "Repair what is malformed", (repair) => app.edit({ repair }))
        : check(app.draft.dryRun, "Only plan: show what would be redrawn", (dryRun) => app.edit({ dryRun }))}
      ${check(app.draft.policy === "every", "Redraw every part, not only malformed ones", (on) => app.edit({ policy: on ? "every" : "malformed" }))}
      ${check(app.draft.nudge, "Also try bent by the detector’s gradient", (nudge) => app.edit({ nudge }))}
      ${check(app.draft.heatmapMask, "Redraw by heat map, not by box", (heatmapMask) => app.edit({ heatmapMask }))}
      ${REPAIR_FIELDS.map((field) => input(app, field))} ${classes(app)}
    </div>
  </details>
`;

function input(app, { name, label, hint, wide, text }) {
  const refusal = app.problem?.about(name);
  const default_ = app.service.default(name);
  return html`
    <label class="field" ?data-wide=${wide}>
      <span>${label}</span>
      <input name=${name} autocomplete="off" spellcheck="false" inputmode=${text ? "text" : "decimal"}
        .value=${live(app.draft.fields[name] ?? "")} placeholder=${default_ ?? hint ?? ""}
        aria-invalid=${refusal ? "true" : nothing} aria-describedby=${refusal ? `${name}-refused` : nothing}
        @input=${(event) => app.editField(name, event.target.value)}>
      ${refusal ? html`<span id="${name}-refused" class="refused">${refusal.message}</span>` : nothing}
    </label>
  `;
}

const check = (on, label, change) => html`
  <label class="check">
    <input type="checkbox" .checked=${live(on)} @change=${(event) => change(event.target.checked)}><span>${label}</span>
  </label>
`;

/** Which classes to repair; all malformed ones if none is chosen. */
function classes(app) {
  const names = app.service.classNames.filter(isMalformed);
  if (names.length < 2) return nothing;
  const turn = (name, on) => app.edit({ classes: on ? [...app.draft.classes, name] : app.draft.classes.filter((it) => it !== name) });
  return html`
    <fieldset class="field" data-wide>
      <legend>Only these</legend>
      ${names.map((name) => check(app.draft.classes.includes(name), className(name), (on) => turn(name, on)))}
    </fieldset>
  `;
}
