// The API key: kept in this browser, asked for when the service wants one.

const NAME = "anatomend.key";

export class Keys {
  #dialog;
  #asking = null;

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
  }

  get current() {
    return localStorage.getItem(NAME);
  }

  forget() {
    localStorage.removeItem(NAME);
  }

  /** True once there is another key than the one that was used; all who ask meanwhile share one dialog. */
  async ask(problem, used) {
    if (this.current !== used) return true;
    this.#asking ??= this.#show(problem).finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** Opens the dialog; true if a key was entered. */
  #show(problem) {
    const dialog = this.#dialog;
    const value = dialog.querySelector("#key-value");
    dialog.querySelector("#key-detail").textContent = problem.detail;
    value.value = "";
    dialog.returnValue = "";
    dialog.showModal();
    value.focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(this.#take(dialog.returnValue, value.value.trim())), { once: true });
    });
  }

  #take(answer, key) {
    if (answer !== "yes" || !key) return false;
    localStorage.setItem(NAME, key);
    return true;
  }
}
