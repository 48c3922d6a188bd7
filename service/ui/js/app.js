// What the page knows and does. The views draw it and call it; nothing else holds state.
import { Draft } from "./draft.js";
import { follow } from "./events.js";
import { Feedback } from "./feedback.js";
import { History } from "./history.js";
import { Watched, isOver } from "./job.js";
import { listenForFiles } from "./files.js";
import { asProblem, Problem } from "./problem.js";
import { save } from "./pictures.js";
import { Service } from "./service.js";
import * as words from "./words.js";

const freshLook = () => ({ picture: 0, mode: null, boxes: true, heat: false, hidden: new Set(), masks: new Set() });
const freshBrush = () => ({ on: false, size: 32, erasing: false });

export class App {
  draft = new Draft();
  fileUrl = null;
  dragging = false;
  brush = freshBrush();
  problem = null; // of the form
  sending = false;
  watched = null; // the open job
  opening = null; // the id of a job that is being fetched
  jobProblem = null;
  look = freshLook();
  sources = new Map(); // job id → address of the picture that was sent with it
  copied = false;
  #following = null;
  #scheduled = false;
  #draw;
  #say;

  constructor({ api, keys, pictures, draw, say }) {
    Object.assign(this, { api, keys, pictures });
    this.#draw = draw;
    this.#say = say;
    this.history = new History(api, () => this.update());
    this.service = new Service(api, () => this.update());
    this.feedback = new Feedback(api);
  }

  start() {
    window.addEventListener("hashchange", () => this.#route());
    listenForFiles((file) => this.attach(file), (dragging) => this.set({ dragging }));
    this.history.load();
    this.service.watch();
    this.#route();
  }

  /** Draws once for all changes of this turn. */
  update() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#draw(this);
      document.title = this.#title();
    });
  }

  set(changes) {
    Object.assign(this, changes);
    this.update();
  }

  setLook(changes) {
    this.look = { ...this.look, ...changes };
    this.update();
  }

  setBrush(changes) {
    this.brush = { ...this.brush, ...changes };
    this.brush.size = Math.min(160, Math.max(4, Math.round(this.brush.size)));
    this.update();
  }

  // The form

  edit(changes) {
    Object.assign(this.draft, changes);
    this.draft.keep();
    this.update();
  }

  editField(name, value) {
    this.draft.fields[name] = value;
    this.draft.keep();
  }

  /** Takes a picture to repair; null takes it away again. */
  attach(file) {
    if (this.fileUrl && ![...this.sources.values()].includes(this.fileUrl)) URL.revokeObjectURL(this.fileUrl);
    this.draft.file = file;
    this.set({ fileUrl: file && URL.createObjectURL(file), problem: null, brush: freshBrush() });
    if (file && location.hash !== "#/") location.hash = "#/";
    if (file) this.#say("A picture was added.");
  }

  /** Takes a finished picture and the words of its job back into the form, to mark places by hand. */
  async remake(job, url) {
    try {
      if (url) {
        const blob = await this.pictures.blob(url);
        this.attach(new File([blob], "picture.png", { type: blob.type }));
        this.setBrush({ on: true });
      }
      this.draft.take(job.request ?? {});
      this.set({ problem: null });
      document.querySelector("#prompt").focus();
    } catch (error) {
      this.set({ jobProblem: asProblem(error) });
    }
  }

  /** Sends the form: "generate", "repair" or "detect". */
  async submit(kind) {
    if (this.sending) return;
    this.set({ sending: true, problem: null });
    try {
      const job = await this.#send(kind);
      if (kind !== "generate") this.sources.set(job.id, this.fileUrl);
      this.history.put(job);
      this.#show(job);
    } catch (error) {
      this.set({ problem: asProblem(error) });
      this.#say(this.problem.detail);
    } finally {
      this.set({ sending: false });
    }
  }

  async #send(kind) {
    const { draft } = this;
    if (kind === "generate") {
      if (!draft.prompt.trim()) throw new Problem({ code: "empty_prompt", detail: "Say what the picture shall show, or add one to repair." });
      return this.api.start("generate", draft.toGenerate());
    }
    if (kind === "detect") return this.#detect();
    const brush = document.querySelector("mask-brush");
    return this.api.start("repair", draft.toRepair(brush ? await brush.toBlob() : null));
  }

  /** Asks for a heat map too; a service that has none refuses the word. */
  async #detect() {
    try {
      return await this.api.start("detect", this.draft.toDetect(true));
    } catch (error) {
      if (!(error instanceof Problem) || !error.about("heatmap")) throw error;
      return this.api.start("detect", this.draft.toDetect(false));
    }
  }

  // The open job

  async cancel(job) {
    await this.#act(async () => this.#took(await this.api.post(`jobs/${job.id}/cancel`)));
  }

  async retry(job) {
    await this.#act(async () => {
      const again = await this.api.post(`jobs/${job.id}/retry`);
      if (this.sources.has(job.id)) this.sources.set(again.id, this.sources.get(job.id));
      this.history.put(again);
      this.#show(again);
    });
  }

  async judge(image, region, verdict) {
    await this.#act(async () => {
      await this.feedback.send(image.sha256, region, verdict);
      this.#say("Thank you, noted.");
      this.update();
    });
  }

  /** The address to share; where the browser gives no clipboard, the view shows it to copy by hand. */
  async copyAddress() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.set({ copied: "yes" });
      this.#say("The address was copied.");
    } catch {
      this.set({ copied: "by hand" });
    }
  }

  async savePicture(image) {
    await this.#act(async () => save(await this.pictures.blob(image.url), `anatomend-${image.sha256.slice(0, 10)}.png`));
  }

  saveReport(job) {
    save(new Blob([JSON.stringify(job, null, 2)], { type: "application/json" }), `anatomend-${job.id}.json`);
  }

  async #act(work) {
    try {
      this.jobProblem = null;
      await work();
    } catch (error) {
      this.set({ jobProblem: asProblem(error) });
    }
  }

  #show(job) {
    this.#watch(job);
    location.hash = `#/jobs/${job.id}`;
  }

  async #route() {
    const id = /^#\/jobs\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;
    if (id !== null && id === this.watched?.job.id) return;
    this.#close();
    if (id === null) return;
    this.set({ opening: id });
    try {
      const job = await this.api.json(`jobs/${id}`);
      if (this.opening === id) this.#watch(job);
    } catch (error) {
      if (this.opening === id) this.set({ opening: null, jobProblem: asProblem(error) });
    }
  }

  #close() {
    this.#following?.abort();
    this.set({ watched: null, opening: null, jobProblem: null, copied: false, look: freshLook() });
  }

  async #watch(job) {
    this.#close();
    this.set({ watched: new Watched(job) });
    bringIntoSight(document.querySelector("#stage"));
    if (isOver(job)) return;
    const { watched } = this;
    const following = (this.#following = new AbortController());
    const tell = (type, data) => {
      watched.take(type, data);
      if (type === "done" || type === "state") this.#took(watched.job);
      if (type === "done") this.#say(words.ending(watched.job));
      this.update();
    };
    try {
      await follow(this.api, job.id, tell, following.signal);
    } catch (error) {
      if (this.watched === watched) this.set({ jobProblem: asProblem(error) });
    }
  }

  /** A newer record of a job. */
  #took(job) {
    if (this.watched?.job.id === job.id) {
      this.watched.job = job;
      if (isOver(job)) this.#following?.abort();
    }
    this.history.put(job);
    this.update();
  }

  #title() {
    if (!this.watched) return "Anatomend";
    const { job } = this.watched;
    return `${isOver(job) ? words.title(job) : words.ending(job)} · Anatomend`;
  }
}

/** On a phone the form stands above the picture and the history below it. */
function bringIntoSight(element) {
  const { top } = element.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight / 2) element.scrollIntoView({ block: "start" });
}
