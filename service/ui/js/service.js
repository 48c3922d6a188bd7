// Whether the service is ready, and which models it has.
import { asProblem } from "./problem.js";

const LOOK_AGAIN_MS = 3000;

export class Service {
  state = "unknown"; // ready, loading, unreachable
  detail = "";
  models = [];
  classNames = [];
  #api;
  #changed;

  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** The generator's own value where a request says nothing. */
  default(name) {
    return this.models.find(({ role }) => role === "generator")?.defaults?.[name] ?? null;
  }

  /** Asks until the service is ready. */
  async watch() {
    try {
      await this.#api.json("readyz");
      Object.assign(this, { state: "ready", detail: "" });
      await this.#ask();
    } catch (error) {
      const problem = asProblem(error);
      Object.assign(this, { state: problem.status ? "loading" : "unreachable", detail: problem.detail });
      setTimeout(() => this.watch(), LOOK_AGAIN_MS);
    }
    this.#changed();
  }

  /** What the models are only fills hints, so the page does without if it is refused. */
  async #ask() {
    try {
      const { models, class_names } = await this.#api.json("models");
      Object.assign(this, { models, classNames: class_names });
    } catch (error) {
      this.detail = asProblem(error).detail;
    }
  }
}
