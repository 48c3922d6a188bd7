// How things are said.

/** "malformed_hand" → "Malformed hand" */
export function className(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const isMalformed = (name) => name.startsWith("malformed_");

export const score = (value) => value.toFixed(2);

const OUTCOMES = {
  clean: "Nothing to repair",
  repaired: "Repaired",
  partly: "Partly repaired",
  unrepaired: "Kept as it was",
  nothing_asked: "Nothing asked for",
};
export const outcome = (name) => OUTCOMES[name] ?? className(name);

const PHASES = { generate: "Drawing", detect: "Looking", repair: "Redrawing" };
export const phase = (name) => PHASES[name] ?? className(name);

const STATES = { queued: "Waiting", running: "At work", succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };
export const state = (name) => STATES[name] ?? className(name);

export function position(ahead) {
  if (ahead === null || ahead === undefined) return "Waiting";
  return ahead === 0 ? "Next in line" : `${ahead} ahead of you`;
}

/** How many runs a picture was chosen from and how many were stopped; null if there was only one. */
export function runs(sampling) {
  const all = sampling?.runs ?? [];
  if (all.length < 2) return null;
  const stopped = all.filter(({ end }) => end === "aborted").length;
  return `${all.length} runs` + (stopped ? `, ${stopped} stopped early` : "");
}

const KINDS = { generate: "A picture", repair: "A repair", detect: "A look at a picture" };

/** What a job was about, in one line. */
export const title = (job) => job.request?.prompt?.trim() || KINDS[job.kind] || job.kind;

/** What became of a job, in two or three words. */
export function ending(job) {
  if (job.state !== "succeeded") return job.state === "queued" ? position(job.position) : state(job.state);
  if (job.kind === "detect") return count(job.result.detections.length, "thing seen", "things seen");
  const outcomes = new Set(job.result.images.map((image) => image.outcome));
  return outcomes.size === 1 ? outcome([...outcomes][0]) : `${job.result.images.length} pictures`;
}

/** "left as it was" → "Left as it was." */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

export const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

const STEPS = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Infinity, "year"],
];

/** "3 minutes ago", in the reader's language. */
export function ago(iso, now = Date.now()) {
  let value = Math.min(0, (Date.parse(iso) - now) / 1000);
  if (value > -60) return "just now";
  for (const [size, unit] of STEPS) {
    if (-value < size) return new Intl.RelativeTimeFormat("en").format(Math.round(value), unit);
    value /= size;
  }
  return iso;
}
