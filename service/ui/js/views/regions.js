// What became of each region: its pictures, its attempts with their verdicts, and what people say of it.
import { html, nothing } from "../lit.js";
import { className, count, score, sentence } from "../words.js";
import { crop } from "./figure.js";

export const regionList = (app, image) => html`
  <h2>${count(image.regions.length, "region", "regions")}</h2>
  <ul class="regions">${image.regions.map((region, index) => card(app, image, region, index))}</ul>
`;

function card(app, image, region, index) {
  const { look } = app;
  const changed = region.accepted && image.original_url;
  const name = className(region.class_name);
  const cut = (url, when) => html`<figure>${crop(app, url, region.xyxy, image.width, image.height, `${name}, ${when.toLowerCase()}`)}<figcaption>${when}</figcaption></figure>`;
  return html`
    <li class="card region" id="region-${index}" tabindex="-1" data-tone=${region.accepted ? "mended" : "defect"}>
      <div class="crops">
        ${changed ? html`${cut(image.original_url, "Before")}${cut(image.url, "After")}` : cut(image.url, "Kept")}
      </div>
      <div class="facts">
        <div class="row between"><h3>${name}</h3><span class="verdict">${region.accepted ? "Repaired" : "Kept as it was"}</span></div>
        <p class="number"><span class="quiet">Score</span> ${score(region.conf_before)} <span class="quiet">→</span> ${score(region.conf_after)}</p>
        ${region.reason && region.reason !== "accepted" ? html`<p class="quiet small">${sentence(region.reason)}</p>` : nothing}
        <div class="row">
          ${toggle("Box", !look.hidden.has(index), () => app.setLook({ hidden: turned(look.hidden, index) }))}
          ${region.mask_url ? toggle("Mask", look.masks.has(index), () => app.setLook({ masks: turned(look.masks, index) })) : nothing}
        </div>
      </div>
      ${opinion(app, image, index)} ${region.attempts.length ? attempts(region.attempts) : nothing}
    </li>
  `;
}

export const toggle = (label, on, turn) => html`<button class="toggle" aria-pressed=${on} @click=${turn}>${label}</button>`;

/** The set with this member turned on or off. */
export function turned(set, member) {
  const next = new Set(set);
  if (!next.delete(member)) next.add(member);
  return next;
}

function opinion(app, image, index) {
  const given = app.feedback.of(image.sha256, index);
  const button = (verdict, label) => html`
    <button class="toggle" aria-pressed=${given === verdict} @click=${() => app.judge(image, index, verdict)}>${label}</button>
  `;
  return html`
    <div class="opinion" role="group" aria-label="What do you think of region ${index + 1}?">
      <span class="quiet small">${given ? "Noted, thank you." : "What do you think?"}</span>
      <span class="row">${button("was_fine", "Was fine")} ${button("still_wrong", "Still wrong")}</span>
    </div>
  `;
}

/** Every attempt, folded unless `open`. */
export function attempts(list, open = false) {
  return html`
    <details class="attempts" ?open=${open}>
      <summary>${count(list.length, "attempt", "attempts")} <span class="dots" aria-hidden="true">${list.map(({ verdict }) => html`<i data-verdict=${verdict}></i>`)}</span></summary>
      <table>
        <thead>
          <tr><th scope="col">Verdict</th><th scope="col">Method</th><th scope="col">Strength</th><th scope="col">Score</th><th scope="col">Critic</th><th scope="col">Seam</th><th scope="col">Seed</th></tr>
        </thead>
        <tbody>
          ${list.map(attempt)}
        </tbody>
      </table>
    </details>
  `;
}

const attempt = ({ method, strength, seed, conf, critic, seam, verdict }) => html`
  <tr data-verdict=${verdict}>
    <th scope="row">${className(verdict)}</th>
    <td>${method}</td>
    <td class="number" data-label="strength">${strength}</td>
    <td class="number" data-label="score">${score(conf)}</td>
    <td class="number" data-label="critic">${critic == null ? "–" : score(critic)}</td>
    <td class="number" data-label="seam">${score(seam)}</td>
    <td class="number" data-label="seed">${seed}</td>
  </tr>
`;
