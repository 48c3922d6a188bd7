// Server-sent events over fetch: the stream may need a key, and goes on after the last id when the line breaks.
import { Problem } from "./problem.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** Takes text as it comes and tells each whole event: {id, type, data}. */
export class EventParser {
  #rest = "";
  #event = {};

  *feed(text) {
    this.#rest += text;
    // A lone \r at the end may be half of \r\n.
    const whole = /^([\s\S]*?)(\r\n|\n|\r(?!$))/;
    for (let line; (line = whole.exec(this.#rest)); ) {
      this.#rest = this.#rest.slice(line[0].length);
      if (line[1] === "") yield* this.#end();
      else this.#take(line[1]);
    }
  }

  #take(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment that keeps the line open
    const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (name === "data") this.#event.data = this.#event.data === undefined ? value : `${this.#event.data}\n${value}`;
    else if (name === "event") this.#event.type = value;
    else if (name === "id") this.#event.id = value;
  }

  *#end() {
    const event = this.#event;
    this.#event = {};
    if (event.data !== undefined) yield { type: "message", ...event };
  }
}

/**
 * Follows a job until it is done.
 *
 * @param {(type: string, data: object) => void} tell called for each event
 * @param {AbortSignal} signal ends it early, without a word
 */
export async function follow(api, id, tell, signal) {
  let last = null;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) };
      const response = await api.send(`jobs/${id}/events`, { headers, signal, cache: "no-store" });
      for await (const event of eventsOf(response)) {
        if (signal.aborted) return;
        wait = FIRST_WAIT_MS;
        last = event.id ?? last;
        tell(event.type, JSON.parse(event.data));
        if (event.type === "done") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status > 0 && error.status < 500 && error.status !== 429) throw error;
    }
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

async function* eventsOf(response) {
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.feed(value);
    }
  } finally {
    reader.cancel().catch(() => {}); // a broken stream is already at its end
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
