// What the user is about to ask for. Kept in the browser, so that a reload or a refusal loses nothing typed.

const NAME = "anatomend.draft";
const EMPTY = {
  prompt: "",
  fields: {},
  classes: [],
  policy: "malformed",
  repair: true,
  dryRun: false,
  watch: false,
  inFlight: false,
  nudge: false,
  heatmapMask: false,
};

/** The fields of the forms: as the service names them, and as people do. */
export const PICTURE_FIELDS = [
  { name: "negative_prompt", label: "Leave out", wide: true, text: true },
  { name: "seed", label: "Seed", hint: "any" },
  { name: "num_images", label: "Pictures", hint: "1", only: "generate" },
  { name: "num_inference_steps", label: "Steps", hint: "model’s own", only: "generate" },
  { name: "guidance_scale", label: "Guidance", hint: "model’s own", only: "generate" },
  { name: "best_of", label: "Best of", hint: "1", only: "generate" },
  { name: "width", label: "Width", hint: "model’s own", only: "generate" },
  { name: "height", label: "Height", hint: "model’s own", only: "generate" },
];
export const REPAIR_FIELDS = [
  { name: "conf", label: "Least score", hint: "model’s own" },
  { name: "max_regions", label: "Most regions", hint: "8" },
  { name: "strengths", label: "Strengths, in order", hint: "model’s own", wide: true, list: true },
  { name: "seeds_per_attempt", label: "Seeds per attempt", hint: "model’s own" },
  { name: "grow", label: "Grow box by", hint: "0.1" },
  { name: "feather_px", label: "Feather, px", hint: "6" },
];

export class Draft {
  /** Set from outside and not stored: the picture (a File or Blob) and the mask painted on it (a Blob). */
  file = null;

  constructor() {
    Object.assign(this, structuredClone(EMPTY), stored());
  }

  keep() {
    const kept = Object.fromEntries(Object.keys(EMPTY).map((name) => [name, this[name]]));
    localStorage.setItem(NAME, JSON.stringify(kept));
  }

  reset() {
    Object.assign(this, structuredClone(EMPTY), { file: null });
    this.keep();
  }

  /** Takes over what an earlier job was asked. */
  take(request) {
    const settings = typeof request.repair === "object" && request.repair ? request.repair : (request.params ?? request);
    this.prompt = request.prompt ?? "";
    this.fields = {};
    for (const [fields, source] of [[PICTURE_FIELDS, { ...settings, ...request }], [REPAIR_FIELDS, settings]]) {
      for (const { name } of fields) {
        const value = source[name];
        if (value !== undefined && value !== null && value !== "") {
          this.fields[name] = Array.isArray(value) ? value.join(", ") : String(value);
        }
      }
    }
    this.classes = settings.classes ?? [];
    this.policy = settings.policy ?? "malformed";
    this.repair = request.repair !== false;
    this.dryRun = request.dry_run ?? false;
    this.watch = Boolean(request.watch);
    this.inFlight = request.watch?.in_flight ?? false;
    this.nudge = (settings.methods ?? []).includes("nudge");
    this.heatmapMask = settings.mask_source === "heatmap";
    this.keep();
  }

  /** The body of POST /generate. */
  toGenerate() {
    const repair = this.repair && this.#repair();
    const watch = this.watch ? { watch: this.inFlight ? { in_flight: true } : true } : {};
    return { prompt: this.prompt, ...this.#values(PICTURE_FIELDS), ...watch, repair };
  }

  /** The form of POST /repair. */
  toRepair(mask) {
    const fields = PICTURE_FIELDS.filter(({ only }) => !only);
    const params = { prompt: this.prompt, ...this.#values(fields), ...this.#repair() };
    const form = this.#form();
    form.set("params", JSON.stringify(params));
    if (mask) form.set("mask", mask, "mask.png");
    if (this.dryRun) form.set("dry_run", "true");
    return form;
  }

  /** The form of POST /detect. */
  toDetect(withHeatmap) {
    const form = this.#form();
    const conf = this.fields.conf?.trim();
    if (conf) form.set("conf", conf);
    if (withHeatmap) form.set("heatmap", "true");
    return form;
  }

  #form() {
    const form = new FormData();
    form.set("image", this.file, this.file.name ?? "picture.png");
    return form;
  }

  #repair() {
    const chosen = this.classes.length ? { classes: this.classes } : {};
    const policy = this.policy === "malformed" ? {} : { policy: this.policy };
    const methods = this.nudge ? { methods: ["redraw", "nudge"] } : {};
    const mask = this.heatmapMask ? { mask_source: "heatmap" } : {};
    return { ...this.#values(REPAIR_FIELDS), ...chosen, ...policy, ...methods, ...mask };
  }

  /** What was filled in. What is no number goes as it is: the service says what it would take. */
  #values(fields) {
    const values = {};
    for (const { name, text, list } of fields) {
      const typed = this.fields[name]?.trim();
      if (!typed) continue;
      if (text) values[name] = typed;
      else if (list) values[name] = typed.split(/[\s,;]+/).filter(Boolean).map(numberIn);
      else values[name] = numberIn(typed);
    }
    return values;
  }
}

function numberIn(typed) {
  const number = Number(typed);
  return Number.isFinite(number) ? number : typed;
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {}; // of an older page
  }
}
