// <mask-brush .src=${blob address} .size=${px} .erasing=${false}>: paints over a picture what shall be redrawn.
// Tells `strokes` when something was painted and `brush` when a key changed its size or turned it over.

const COLOUR = "#ff5a2c";
const CURSOR_STEP = 0.02; // of the longer side

class MaskBrush extends HTMLElement {
  size = 24;
  erasing = false;
  #src = null;
  #image = new Image();
  #canvas = document.createElement("canvas");
  #ring = document.createElement("span");
  #strokes = [];
  #stroke = null;
  #cursor = { x: 0, y: 0 };

  connectedCallback() {
    if (this.#canvas.isConnected) return;
    this.#image.alt = "";
    this.#image.addEventListener("load", () => this.#fit());
    this.#ring.className = "ring";
    this.#ring.hidden = true;
    this.#makeReachable();
    this.#listen();
    this.append(this.#image, this.#canvas, this.#ring);
  }

  get src() {
    return this.#src;
  }

  set src(value) {
    if (value === this.#src) return;
    this.#src = value;
    this.#strokes = [];
    if (value) this.#image.src = value;
  }

  get isEmpty() {
    return this.#strokes.every((stroke) => stroke.erasing);
  }

  undo() {
    this.#strokes.pop();
    this.#redraw();
  }

  clear() {
    this.#strokes = [];
    this.#redraw();
  }

  /** The mask as a PNG of the picture's size, white = redraw; null if nothing is painted. */
  async toBlob() {
    if (this.isEmpty) return null;
    const mask = document.createElement("canvas");
    [mask.width, mask.height] = [this.#canvas.width, this.#canvas.height];
    const context = mask.getContext("2d");
    context.drawImage(this.#canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, mask.width, mask.height);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, mask.width, mask.height);
    return new Promise((resolve) => mask.toBlob(resolve, "image/png"));
  }

  #makeReachable() {
    const canvas = this.#canvas;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "mask brush");
    canvas.setAttribute("aria-label", "Picture to paint on");
    canvas.setAttribute("aria-describedby", "brush-help");
  }

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.#lift());
    canvas.addEventListener("pointerleave", () => (this.#ring.hidden = document.activeElement !== canvas));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#placeRing());
    canvas.addEventListener("blur", () => (this.#ring.hidden = true));
  }

  #fit() {
    [this.#canvas.width, this.#canvas.height] = [this.#image.naturalWidth, this.#image.naturalHeight];
    this.style.setProperty("--ratio", this.#canvas.width / this.#canvas.height);
    this.#cursor = { x: this.#canvas.width / 2, y: this.#canvas.height / 2 };
    this.#redraw();
  }

  /** Picture pixels for one pixel on the screen. */
  get #scale() {
    return this.#canvas.width / this.#canvas.getBoundingClientRect().width;
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * this.#scale, y: (event.clientY - box.top) * this.#scale };
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#cursor = this.#point(event);
    this.#begin();
  }

  #move(event) {
    this.#cursor = this.#point(event);
    this.#placeRing();
    if (this.#stroke) this.#extend();
  }

  #lift() {
    if (!this.#stroke) return;
    this.#stroke = null;
    this.dispatchEvent(new Event("strokes"));
  }

  #begin() {
    this.#stroke = { size: this.size * this.#scale, erasing: this.erasing, points: [] };
    this.#strokes.push(this.#stroke);
    this.#extend();
  }

  #extend() {
    this.#stroke.points.push({ ...this.#cursor });
    this.#draw(this.#stroke, this.#stroke.points.slice(-2));
  }

  #redraw() {
    this.#canvas.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const stroke of this.#strokes) this.#draw(stroke, stroke.points);
    this.dispatchEvent(new Event("strokes"));
  }

  #draw(stroke, points) {
    const context = this.#canvas.getContext("2d");
    context.globalCompositeOperation = stroke.erasing ? "destination-out" : "source-over";
    context.lineWidth = stroke.size;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = COLOUR;
    context.beginPath();
    context.moveTo(points[0].x, points[0].y);
    for (const { x, y } of points) context.lineTo(x + 0.01, y); // a line of no length would not be drawn
    context.stroke();
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) this.#walk(...steps[event.key], event.shiftKey);
    else if (event.key === " " || event.key === "Enter") this.#dot();
    else if (event.key === "[" || event.key === "]") this.#brush({ size: this.size * (event.key === "]" ? 1.25 : 0.8) });
    else if (event.key.toLowerCase() === "e") this.#brush({ erasing: !this.erasing });
    else return;
    event.preventDefault();
  }

  #walk(dx, dy, painting) {
    const { width, height } = this.#canvas;
    const step = CURSOR_STEP * Math.max(width, height);
    if (painting) this.#begin();
    this.#cursor.x = Math.min(width, Math.max(0, this.#cursor.x + dx * step));
    this.#cursor.y = Math.min(height, Math.max(0, this.#cursor.y + dy * step));
    if (painting) this.#extend();
    this.#lift();
    this.#placeRing();
  }

  #dot() {
    this.#begin();
    this.#lift();
  }

  #brush(change) {
    this.dispatchEvent(new CustomEvent("brush", { detail: change }));
    this.#placeRing();
  }

  #placeRing() {
    this.#ring.hidden = false;
    const { width, height } = this.#canvas;
    const { x, y } = this.#cursor;
    const side = `${this.size}px`;
    Object.assign(this.#ring.style, { left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: side, height: side });
  }
}

customElements.define("mask-brush", MaskBrush);
