// The large side of the page: a welcome, the picture to repair, or the open job.
import { html } from "../lit.js";
import { isOver } from "../job.js";
import * as words from "../words.js";
import { detected, finished, heading } from "./finished.js";
import { icon } from "./icons.js";
import { problemBox } from "./problem.js";
import { running } from "./running.js";

export function stage(app) {
  return html`<section id="stage" class="stage" tabindex="-1" aria-label="Picture">${inside(app)}</section>`;
}

function inside(app) {
  const problem = problemBox(app.jobProblem, () => app.set({ jobProblem: null }));
  if (app.watched) return html`${problem} ${job(app, app.watched)}`;
  if (app.opening) return html`<div class="figure waiting" aria-busy="true"></div>`;
  if (app.jobProblem) return problem;
  return app.draft.file ? drafted(app) : welcome();
}

function job(app, watched) {
  if (!isOver(watched.job)) return running(app, watched);
  if (watched.job.state !== "succeeded") return ended(app, watched.job);
  return watched.job.kind === "detect" ? detected(app, watched.job) : finished(app, watched.job);
}

const ended = (app, job) => html`
  ${heading(job, words.state(job.state), job.state, [])}
  ${problemBox(job.problem && { errors: [], ...job.problem })}
  <div class="row">
    <button class="main" @click=${() => app.retry(job)}>Try again</button>
    <button class="plain" @click=${() => app.remake(job)}>Use its settings</button>
  </div>
`;

const welcome = () => html`
  <div class="welcome">
    <h1>Hands with five fingers, horses with four legs.</h1>
    <p class="lead">
      Describe a picture, or drop one anywhere on this page. What is malformed is found, redrawn, and looked at again.
      Whatever did not get better stays exactly as it was.
    </p>
    <ol class="steps">
      <li><b>Find</b><span>A detector marks hands and limbs that came out wrong.</span></li>
      <li><b>Redraw</b><span>Only those places are painted anew, gently at first.</span></li>
      <li><b>Look again</b><span>A repair is kept only if it helped and leaves no seam.</span></li>
    </ol>
  </div>
`;

const drafted = (app) => html`
  <div class="row between title">
    <h1>Your picture</h1>
    <button class="plain" aria-pressed=${app.brush.on} @click=${() => app.setBrush({ on: !app.brush.on })}>
      ${icon("brush")}Mark by hand
    </button>
  </div>
  ${app.brush.on ? painted(app) : html`<div class="figure natural"><img src=${app.fileUrl} alt="The picture to repair"></div>`}
`;

function painted(app) {
  const { brush } = app;
  const canvas = () => document.querySelector("mask-brush");
  return html`
    <div class="tools" role="group" aria-label="Mask brush">
      <div class="choice" role="group" aria-label="What the brush does">
        <button aria-pressed=${!brush.erasing} @click=${() => app.setBrush({ erasing: false })}>Paint</button>
        <button aria-pressed=${brush.erasing} @click=${() => app.setBrush({ erasing: true })}>Erase</button>
      </div>
      <label class="range"><span>Size</span>
        <input type="range" min="4" max="160" .value=${String(brush.size)} @input=${(event) => app.setBrush({ size: Number(event.target.value) })}>
      </label>
      <button class="plain" @click=${() => canvas().undo()}>${icon("undo")}Undo</button>
      <button class="plain" @click=${() => canvas().clear()}>Clear</button>
    </div>
    <mask-brush .src=${app.fileUrl} .size=${brush.size} .erasing=${brush.erasing} @strokes=${() => app.update()}
      @brush=${(event) => app.setBrush(event.detail)}></mask-brush>
    <p id="brush-help" class="quiet small">
      Only what you mark is redrawn; nothing else is sought. By keyboard: arrows move the brush, Shift paints on the way, Space
      sets a dot, [ and ] change the size, E turns the eraser on and off.
    </p>
  `;
}

