// Pictures from the service as blob addresses, fetched with the key and kept for a while.

const MOST = 120;

export class Pictures {
  #api;
  #blobs = new Map();
  #urls = new Map();

  constructor(api) {
    this.#api = api;
  }

  /** The bytes behind an address of the service. */
  blob(path) {
    const known = this.#blobs.get(path);
    const fetched = known ?? this.#api.blob(path);
    this.#blobs.delete(path); // the one last asked for stands last
    this.#blobs.set(path, fetched);
    if (!known) fetched.catch(() => this.#blobs.delete(path));
    this.#forgetOldest();
    return fetched;
  }

  /** An address that <img> can show. */
  async url(path) {
    const blob = await this.blob(path);
    if (!this.#urls.has(path)) this.#urls.set(path, URL.createObjectURL(blob));
    return this.#urls.get(path);
  }

  #forgetOldest() {
    for (const path of this.#blobs.keys()) {
      if (this.#blobs.size <= MOST) return;
      this.#blobs.delete(path);
      if (this.#urls.has(path)) URL.revokeObjectURL(this.#urls.get(path));
      this.#urls.delete(path);
    }
  }
}

/** Hands bytes to the browser's downloads. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // some browsers begin to read later
}
