// A place for a text: typed, or an item of the gallery. Used instead of a place for a picture where the
// gallery is of texts.

import { h } from "./dom.js";

/** The text of an item; null where it has none. */
export const textOf = (item) => item?.attributes?.text ?? null;

/**
 * Something that is asked about: `{ text }` or `{ id, label, attributes }`.
 *
 * `changed` is called with a new one, and with `null` when it is removed.
 */
export class Sentence {
  #question = null;

  constructor({ title, changed, hint, action }) {
    this.changed = changed;
    this.field = h("textarea", { rows: 4, placeholder: hint, spellcheck: "true", "aria-label": title,
      oninput: () => { this.button.disabled = !this.field.value.trim(); },
      onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.#ask(); } } });
    this.button = h("button", { class: "main", disabled: true }, action);
    this.name = h("p", { class: "name" }, "\u00a0");
    this.wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    const form = h("form", { class: "sentence", onsubmit: (event) => { event.preventDefault(); this.#ask(); } }, this.field, this.button);
    this.element = h("div", { class: "place" }, form, this.name, this.wrong);
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const id = event.dataTransfer.getData("application/x-tercet-item");
      if (id) this.set({ id });
      else if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
  }

  get question() { return this.#question; }

  #ask() {
    const text = this.field.value.trim();
    if (text) this.set({ text });
  }

  /** Files are refused: this gallery is of texts. */
  take(file) { this.say(`${file.name || "That"} is a file. Type or paste a text instead.`); }

  set(question, quietly = false) {
    this.#question = question;
    this.say(null);
    const text = question?.text ?? textOf(question);
    if (!question) this.field.value = "";
    else if (text !== null) this.field.value = text;
    this.button.disabled = !this.field.value.trim();
    this.name.replaceChildren(...(question?.id
      ? [...(question.label ? [h("b", {}, question.label), " "] : []), h("span", {}, question.id)]
      : ["\u00a0"]));
    if (!quietly) this.changed(question);
  }

  say(text) {
    this.wrong.hidden = !text;
    this.wrong.textContent = text ?? "";
  }
}
