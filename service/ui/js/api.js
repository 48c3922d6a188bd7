// Speaks to the service. <img> and EventSource cannot send headers, so everything goes through fetch.
import { Problem, problemOf } from "./problem.js";

export class Api {
  #base;
  #keys;

  /**
   * @param {URL} base where the service is; it may live under a prefix
   * @param {import("./keys.js").Keys} keys
   */
  constructor(base, keys) {
    this.#base = base;
    this.#keys = keys;
  }

  /** Sends a request; asks for a key and sends it again where the service wants one. Throws a Problem. */
  async send(path, options = {}) {
    for (;;) {
      const key = this.#keys.current;
      const response = await this.#fetch(path, options, key);
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (response.status !== 401 || !(await this.#keys.ask(problem, key))) throw problem;
    }
  }

  async json(path, options = {}) {
    return (await this.send(path, options)).json();
  }

  async blob(path) {
    return (await this.send(path)).blob();
  }

  post(path, body) {
    const json = { "Content-Type": "application/json" };
    return this.json(path, { method: "POST", headers: json, body: JSON.stringify(body ?? {}) });
  }

  /** Starts a job: a JSON body, or a form with files. */
  async start(path, body) {
    const isForm = body instanceof FormData;
    const headers = { Prefer: "respond-async", ...(isForm ? {} : { "Content-Type": "application/json" }) };
    return this.json(path, { method: "POST", headers, body: isForm ? body : JSON.stringify(body) });
  }

  async #fetch(path, { headers = {}, ...options }, key) {
    const authorization = key ? { Authorization: `Bearer ${key}` } : {};
    try {
      return await fetch(new URL(path, this.#base), { ...options, headers: { ...headers, ...authorization } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ code: "unreachable", detail: "The service does not answer. Is it running, and are you online?" });
    }
  }
}
