// A picture with what was found in it: boxes, masks, a heat map, before and after.
import { html, nothing } from "../lit.js";
import { className, isMalformed, score } from "../words.js";
import { icon } from "./icons.js";

/**
 * @param {object} shown
 *   width, height: of the picture, in its own pixels
 *   after, before: addresses; before may be null
 *   mode: "after", "before" or "compare"
 *   boxes: [{index, xyxy, class_name, conf, was?, mended}] to draw, the first on top; was: the score before
 *   masks: addresses of masks to lay over it; heat: address of a heat map, or null
 *   alt: what it shows
 *   choose: called with the index of a box that was clicked
 */
export function figure(app, shown) {
  const { width, height, mode } = shown;
  return html`
    <div class="figure" .style=${`--ratio:${width / height}`} data-mode=${mode}>
      ${mode === "compare" ? comparison(app, shown) : stored(app, mode === "before" ? shown.before : shown.after, shown.alt)}
      ${shown.masks.map((url) => html`<stored-picture class="mask" mask src=${url} .pictures=${app.pictures}></stored-picture>`)}
      ${shown.heat ? html`<stored-picture class="heat" src=${shown.heat} alt="" .pictures=${app.pictures}></stored-picture>` : nothing}
      ${shown.boxes.toReversed().map((box) => drawn(box, shown))}
    </div>
  `;
}

export const stored = (app, src, alt = "") =>
  src ? html`<stored-picture .pictures=${app.pictures} src=${src} alt=${alt}></stored-picture>` : html`<div class="blank"></div>`;

function comparison(app, { before, after, alt }) {
  const slid = ({ target }) => target.setAttribute("aria-valuenow", Math.round(target.value));
  return html`
    <img-comparison-slider role="slider" tabindex="0" aria-label="Before on the left, after on the right: ${alt}"
      aria-valuemin="0" aria-valuemax="100" aria-valuenow="50" @slide=${slid}>
      <stored-picture slot="first" .pictures=${app.pictures} src=${before}></stored-picture>
      <stored-picture slot="second" .pictures=${app.pictures} src=${after}></stored-picture>
      <span slot="handle" class="handle">${icon("compare")}</span>
    </img-comparison-slider>
    <span class="side" aria-hidden="true">Before</span><span class="side after" aria-hidden="true">After</span>
  `;
}

function drawn(box, { width, height, choose }) {
  const [x0, y0, x1, y1] = box.xyxy;
  const place =
    `left:${(100 * x0) / width}%;top:${(100 * y0) / height}%;` +
    `width:${(100 * (x1 - x0)) / width}%;height:${(100 * (y1 - y0)) / height}%`;
  const tone = box.mended ? "mended" : isMalformed(box.class_name) ? "defect" : "sound";
  const was = box.was === undefined ? "" : `${score(box.was)} → `;
  const words = `${className(box.class_name)} ${was}${score(box.conf)}`;
  const inside = y0 / height < 0.1;
  const flush = x0 / width > 0.6;
  return html`
    <button class="box" .style=${place} data-tone=${tone} ?data-inside=${inside} ?data-flush=${flush}
      @click=${() => choose?.(box.index)} aria-label="${words}: show its details">
      <span>${words}</span>
    </button>
  `;
}

/** A square cut out of a picture around a box, as large as its place allows. */
export function crop(app, src, xyxy, width, height, alt) {
  const [x0, y0, x1, y1] = xyxy;
  const side = Math.min(Math.min(width, height), 1.3 * Math.max(x1 - x0, y1 - y0));
  const left = within((x0 + x1 - side) / 2, 0, width - side);
  const top = within((y0 + y1 - side) / 2, 0, height - side);
  const place =
    `width:${(100 * width) / side}%;height:${(100 * height) / side}%;` +
    `left:${(-100 * left) / side}%;top:${(-100 * top) / side}%`;
  return html`<div class="crop"><div .style=${place}>${stored(app, src, alt)}</div></div>`;
}

const within = (value, least, most) => Math.max(least, Math.min(most, value));
