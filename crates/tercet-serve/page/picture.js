// A place for a picture: dropped, pasted, picked, or an item of the gallery.

import * as api from "./api.js";
import { bytes, h } from "./dom.js";
import { enlarger } from "./enlarge.js";
import { state } from "./state.js";

/** Pictures smaller than this are shown with their pixels. */
const SMALL = 96;

/**
 * A picture that keeps its pixels when it is small. Where there is none, the class and the name of
 * the item take its place.
 */
export function image(source, text, { label = null, id = null } = {}) {
  const element = h("img", { src: source, alt: text, draggable: "false", decoding: "async" });
  element.addEventListener("load", () => {
    element.classList.toggle("pixels", Math.max(element.naturalWidth, element.naturalHeight) < SMALL);
    element.classList.add("there");
  });
  element.addEventListener("error", () => element.replaceWith(id === null
    ? h("span", { class: "nothing", title: text }, "no picture")
    : h("span", { class: "nothing", title: id }, label === null ? "" : h("b", {}, label), h("span", {}, id))));
  return element;
}

/**
 * Something that is asked about: `{ file }` or `{ id, label }`.
 *
 * `changed` is called with a new one, and with `null` when it is removed.
 */
export class Place {
  #question = null;
  #address = null;

  constructor({ title, changed, hint }) {
    this.changed = changed;
    this.picker = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", "aria-hidden": "true",
      onchange: () => { if (this.picker.files[0]) this.take(this.picker.files[0]); this.picker.value = ""; } });
    this.frame = h("button", { type: "button", class: "frame", "aria-label": `${title}: choose a picture`, onclick: () => this.pick() });
    this.name = h("p", { class: "name" });
    this.wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    this.hint = h("span", { class: "hint" }, h("strong", {}, hint), h("span", {}, "drop, paste, or click to choose"));
    this.stage = h("div", { class: "stage" }, this.frame);
    this.element = h("div", { class: "place" }, this.stage, this.picker, this.name, this.wrong);
    this.element.addEventListener("dragover", (event) => { event.preventDefault(); this.element.classList.add("over"); });
    this.element.addEventListener("dragleave", (event) => { if (!this.element.contains(event.relatedTarget)) this.element.classList.remove("over"); });
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.element.classList.remove("over");
      const id = event.dataTransfer.getData("application/x-tercet-item");
      if (id) this.set({ id });
      else if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
    this.#show();
  }

  get question() { return this.#question; }

  pick() {
    if (state.about?.embeds) this.picker.click();
    else this.say("Pictures cannot be embedded here: this gallery is served without its model, or with one of vectors. Start from one of its items.");
  }

  /** Takes a file, unless the server would refuse it anyway. */
  take(file) {
    const most = state.about.limits.body;
    if (file.type && !file.type.startsWith("image/")) return this.say(`${file.name || "That"} is not a picture.`);
    if (file.size > most) return this.say(`${file.name || "That"} is larger than the ${bytes(most)} that the server takes.`);
    this.set({ file, name: file.name });
  }

  set(question, quietly = false) {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = question?.file ? URL.createObjectURL(question.file) : null;
    this.#question = question;
    this.say(null);
    this.#show();
    if (!quietly) this.changed(question);
  }

  say(text) {
    this.wrong.hidden = !text;
    this.wrong.textContent = text ?? "";
  }

  #show() {
    const question = this.#question;
    if (!question) {
      this.frame.replaceChildren(this.hint);
      this.stage.replaceChildren(this.frame);
      this.name.replaceChildren("\u00a0");
      return;
    }
    const text = question.id ?? question.name ?? "pasted picture";
    const source = this.#address ?? api.thumbnail(question.id);
    const picture = image(source, text, question.id ? { id: text, label: question.label ?? null } : {});
    this.frame.replaceChildren(picture);
    this.stage.replaceChildren(this.frame, enlarger({ source, title: question.label, text }));
    this.name.replaceChildren(...(question.label ? [h("b", {}, question.label), " "] : []), h("span", {}, text));
  }
}

/** The picture on the clipboard, if there is one. */
export function pasted(event) {
  const entry = [...(event.clipboardData?.items ?? [])].find((item) => item.kind === "file" && item.type.startsWith("image/"));
  return entry?.getAsFile() ?? null;
}
