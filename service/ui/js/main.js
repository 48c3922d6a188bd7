// Puts the page together.
import { Api } from "./api.js";
import { App } from "./app.js";
import { Keys } from "./keys.js";
import { Pictures } from "./pictures.js";
import { page } from "./views/page.js";
import { render } from "./lit.js";
import "./elements/mask-brush.js";
import "./elements/stored-picture.js";
import "../vendor/img-comparison-slider-8.0.7/index.js";

// This file is at {service}/ui/js/main.js, whatever prefix the service lives under.
const base = new URL("../../", import.meta.url);
const keys = new Keys(document.querySelector("#key"));
const api = new Api(base, keys);
const root = document.querySelector("#page");
const app = new App({
  api,
  keys,
  pictures: new Pictures(api),
  draw: (state) => render(page(state), root),
  say: (words) => (document.querySelector("#said").textContent = words),
});

document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault(); // the address's hash says which job is open
  root.querySelector("#stage").focus();
});
app.start();
