// A job as the page follows it: the record, and what its events have told since.

export const isOver = (job) => ["succeeded", "failed", "cancelled"].includes(job.state);

export class Watched {
  preview = null;
  picture = 0; // the one that is worked at
  regions = new Map(); // picture → [{class_name, xyxy, conf, attempts}]

  /** @param {object} job as GET /jobs/{id} answers */
  constructor(job) {
    this.job = job;
  }

  /** Takes one event of the job's stream. */
  take(type, data) {
    if (type === "done") this.job = data;
    else if (type === "state") this.#stands(data);
    else if (type === "progress") this.job.progress = data;
    else if (type === "preview") Object.assign(this, { preview: data.image, picture: data.picture ?? 0 });
    else if (type === "regions") this.#found(data);
    else if (type === "attempt") this.#tried(data);
  }

  /** All regions that were found so far, in order. */
  get found() {
    return [...this.regions.values()].flat();
  }

  /** That a job waits may be told after its place in the queue: the place is kept. */
  #stands({ state, position }) {
    const kept = state === "queued" ? this.job.position : null;
    Object.assign(this.job, { state, position: position ?? kept });
  }

  #found({ picture, regions }) {
    this.picture = picture;
    this.regions.set(picture, regions.map((region) => ({ ...region, attempts: [] })));
  }

  #tried({ picture, region, ...attempt }) {
    this.regions.get(picture)?.[region]?.attempts.push(attempt);
  }
}
