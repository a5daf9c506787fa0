// A field to find an item of the gallery by typing a part of its class or name.

import * as api from "./api.js";
import { h, toast } from "./dom.js";
import { image } from "./picture.js";
import { textOf } from "./sentence.js";
import { sentence } from "./words.js";

/** Items that the list shows. */
const SHOWN = 8;
/** Milliseconds without a key before the server is asked. */
const PAUSE = 150;

let pickers = 0;

/**
 * A combobox (see the ARIA pattern): arrow keys move in the list, Enter chooses, Escape closes.
 *
 * `chosen` receives an item `{ id, label, attributes }`.
 */
export class Picker {
  #running = null;
  #timer = null;
  #items = [];
  #active = -1;

  /** `name` is the label of the field. */
  constructor({ name, chosen }) {
    this.chosen = chosen;
    const list = `picker-${++pickers}`;
    this.list = h("ul", { id: list, class: "options", role: "listbox", "aria-label": "Items found", hidden: true });
    this.input = h("input", {
      type: "search", role: "combobox", "aria-controls": list, "aria-expanded": "false", "aria-autocomplete": "list",
      placeholder: "type its class or name", autocomplete: "off", spellcheck: "false",
      oninput: () => this.#wait(), onfocus: () => { if (this.input.value.trim()) this.#wait(); },
      onkeydown: (event) => this.#key(event), onblur: () => this.#close(),
    });
    this.random = h("button", { type: "button", class: "quiet", onclick: () => this.#random() }, "Random item");
    this.element = h("div", { class: "picker" }, h("label", {}, h("span", {}, name), this.input), this.list, this.random);
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#find(), PAUSE);
  }

  async #find() {
    this.#running?.abort();
    const text = this.input.value.trim();
    if (!text) return this.#close();
    const running = this.#running = new AbortController();
    try {
      const items = await api.find(text, SHOWN, running.signal);
      if (running === this.#running) this.#show(items);
    } catch (error) {
      if (error.name === "AbortError" || running !== this.#running) return;
      this.#show([], sentence(error.message));
    }
  }

  #show(items, problem = "No item of this class or name.") {
    this.#items = items;
    this.#active = -1;
    this.list.replaceChildren(...items.map((item, at) => h("li", {
      role: "option", id: `${this.list.id}-${at}`, "aria-selected": "false",
      // A press would take the focus from the field, which closes the list.
      onpointerdown: (event) => event.preventDefault(), onclick: () => this.#choose(at),
    },
      textOf(item) === null ? h("span", { class: "small" }, image(api.thumbnail(item.id), "")) : "",
      h("span", { class: "words" }, h("b", {}, item.label ?? "no class"), h("span", {}, textOf(item) ?? item.id)))));
    if (!items.length) this.list.append(h("li", { class: "none", role: "status" }, problem));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.removeAttribute("aria-activedescendant");
  }

  #close() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#running = null;
    this.#items = [];
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #choose(at) {
    const item = this.#items[at];
    this.#close();
    this.input.value = "";
    if (item) this.chosen(item);
  }

  #key(event) {
    if (event.key === "Escape" && !this.list.hidden) {
      this.#close();
    } else if (event.key === "Enter") {
      if (this.#items.length) this.#choose(Math.max(this.#active, 0));
      else this.#find();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && this.#items.length) {
      const count = this.#items.length;
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#active = this.#active < 0 ? (step > 0 ? 0 : count - 1) : (this.#active + step + count) % count;
      [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.#active)));
      this.list.children[this.#active].scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.#active}`);
    } else {
      return;
    }
    event.preventDefault();
  }

  async #random() {
    try {
      const [item] = await api.sample(1);
      if (item) this.chosen(item);
    } catch (error) {
      toast(sentence(error.message));
    }
  }
}
