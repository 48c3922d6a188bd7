// What the service refuses or fails at, as an error that the page can show.

export class Problem extends Error {
  /** @param {object} facts as in application/problem+json */
  constructor(facts) {
    super(facts.detail);
    this.status = facts.status ?? 0;
    this.code = facts.code ?? "error";
    this.detail = facts.detail ?? "Something went wrong.";
    this.allowed = facts.allowed ?? null;
    this.errors = facts.errors ?? [];
    this.id = facts.id ?? null;
    this.retryAfter = facts.retryAfter ?? null;
  }

  /** The message for a form's field, by the last part of its name; null if it was not refused. */
  about(name) {
    const error = this.errors.find((item) => item.parameter.split(".").includes(name));
    return error ? { message: error.message, allowed: allowedText(error.allowed) } : null;
  }
}

/** The problem in a response that is not ok. */
export async function problemOf(response) {
  const retryAfter = response.headers.get("retry-after");
  try {
    return new Problem({ status: response.status, retryAfter, ...(await response.json()) });
  } catch {
    const detail = `The service answered ${response.status} ${response.statusText}`.trim() + ".";
    return new Problem({ status: response.status, detail, retryAfter });
  }
}

/** Anything thrown, as a problem. */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem({ code: "page_error", detail: `The page failed: ${error.message}` });
}

/** What would have been accepted, in words: a sentence, a list, a pair of limits, or part of a JSON schema. */
export function allowedText(allowed) {
  if (allowed === null || allowed === undefined) return "";
  if (Array.isArray(allowed)) return listText(allowed);
  if (typeof allowed === "object") return schemaText(allowed);
  return String(allowed);
}

function listText(items) {
  if (items.length === 2 && items.every((item) => typeof item === "number")) return `${items[0]} to ${items[1]}`;
  const schemas = items.every((item) => item && typeof item === "object");
  return items.map(allowedText).filter(Boolean).join(schemas ? " or " : ", ");
}

const WORDS = {
  minimum: (value) => `at least ${value}`,
  maximum: (value) => `at most ${value}`,
  exclusiveMinimum: (value) => `above ${value}`,
  exclusiveMaximum: (value) => `below ${value}`,
  multipleOf: (value) => `a multiple of ${value}`,
  minLength: (value) => `at least ${value} characters`,
  maxLength: (value) => `at most ${value} characters`,
  minItems: (value) => `at least ${value} of them`,
  maxItems: (value) => `at most ${value} of them`,
  enum: (value) => value.join(" or "),
  items: () => "",
};
const TYPES = { integer: "a whole number", number: "a number", string: "text", array: "a list", boolean: "yes or no" };

function schemaText({ type, ...limits }) {
  if (type === "null") return "";
  const rest = Object.entries(limits).map(([name, value]) => (WORDS[name] ? WORDS[name](value) : `${name} ${value}`));
  return [TYPES[type], ...rest].filter(Boolean).join(", ");
}
