// <stored-picture src="/images/…" alt="…" .pictures=${…}>: a picture of the service, fetched once it comes into sight.
// With the attribute `mask` it shows itself through the picture's white instead of showing the picture.

class StoredPicture extends HTMLElement {
  static observedAttributes = ["src", "alt"];

  /** @type {import("../pictures.js").Pictures} */
  pictures = null;
  #seen = false;
  #observer = new IntersectionObserver((entries) => this.#look(entries), { rootMargin: "300px" });

  connectedCallback() {
    this.#observer.observe(this);
  }

  disconnectedCallback() {
    this.#observer.disconnect();
    this.#seen = false;
  }

  attributeChangedCallback() {
    if (this.#seen) this.#show();
  }

  #look(entries) {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    this.#seen = true;
    this.#observer.disconnect();
    this.#show();
  }

  async #show() {
    const src = this.getAttribute("src");
    try {
      const url = /^(blob|data):/.test(src) ? src : await this.pictures.url(src);
      if (src === this.getAttribute("src")) this.#put(url);
      this.removeAttribute("broken");
    } catch {
      this.setAttribute("broken", ""); // styled: a picture may have been deleted since
    }
  }

  #put(url) {
    if (this.hasAttribute("mask")) {
      this.style.maskImage = `url("${url}")`;
      return;
    }
    const image = this.querySelector("img") ?? this.appendChild(new Image());
    image.draggable = false;
    image.alt = this.getAttribute("alt") ?? "";
    if (image.src !== url) image.src = url;
  }
}

customElements.define("stored-picture", StoredPicture);
