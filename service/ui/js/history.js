// The jobs of this key, newest first, as the service keeps them.
import { isOver } from "./job.js";
import { asProblem } from "./problem.js";

const PAGE = 20;
const LOOK_AGAIN_MS = 5000;

export class History {
  jobs = [];
  next = null;
  problem = null;
  loaded = false;
  #api;
  #changed;
  #timer = null;

  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** Fetches the newest page, or the one after what is already there. */
  async load({ more = false } = {}) {
    try {
      const before = more && this.next ? `&before=${encodeURIComponent(this.next)}` : "";
      const { jobs, next } = await this.#api.json(`jobs?limit=${PAGE}${before}`);
      if (more) this.jobs = [...this.jobs, ...jobs.filter((job) => !this.jobs.some(({ id }) => id === job.id))];
      else this.#refresh(jobs);
      if (more || !this.loaded) this.next = next;
      Object.assign(this, { problem: null, loaded: true });
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.#lookAgain();
    this.#changed();
  }

  /** A job that is new or has changed. */
  put(job) {
    const index = this.jobs.findIndex(({ id }) => id === job.id);
    if (index < 0) this.jobs = [job, ...this.jobs];
    else this.jobs = this.jobs.with(index, job);
    this.#lookAgain();
  }

  #refresh(jobs) {
    const newer = new Set(jobs.map(({ id }) => id));
    this.jobs = [...jobs, ...this.jobs.filter(({ id }) => !newer.has(id))];
  }

  /** Jobs that are not over go on, also those that other pages started. */
  #lookAgain() {
    clearTimeout(this.#timer);
    if (this.problem || this.jobs.every(isOver)) return;
    this.#timer = setTimeout(() => (document.hidden ? this.#lookAgain() : this.load()), LOOK_AGAIN_MS);
  }
}
