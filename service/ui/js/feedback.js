// What people said of regions. Sent to the service; remembered here so that the buttons show it after a reload.

const NAME = "anatomend.feedback";
const MOST = 500;

export class Feedback {
  #api;
  #given = new Map(read());

  constructor(api) {
    this.#api = api;
  }

  of(sha256, region) {
    return this.#given.get(`${sha256}/${region}`) ?? null;
  }

  async send(sha256, region, verdict) {
    await this.#api.post(`images/${sha256}/feedback`, { region, verdict });
    this.#given.set(`${sha256}/${region}`, verdict);
    localStorage.setItem(NAME, JSON.stringify([...this.#given].slice(-MOST)));
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? [];
  } catch {
    return []; // of an older page
  }
}
