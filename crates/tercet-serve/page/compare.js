// Compare: two things, one distance, one answer.

import * as api from "./api.js";
import { distance, h, percent } from "./dom.js";
import { Instrument } from "./instrument.js";
import { Picker } from "./picker.js";
import { pasted, Place } from "./picture.js";
import { Sentence } from "./sentence.js";
import { state } from "./state.js";
import { sentence } from "./words.js";

export class Compare {
  #running = null;
  #found = null;

  constructor(root, go) {
    this.go = go;
    const changed = () => this.#changed();
    this.places = state.about.reads_texts
      ? ["First text", "Second text"].map((title) => new Sentence({ title, hint: title, action: "Compare", changed }))
      : ["First picture", "Second picture"].map((title) => new Place({ title, hint: title, changed }));
    this.instrument = new Instrument(state.pair);
    this.verdict = h("p", { class: "verdict" });
    this.number = h("p", { class: "number" });
    this.detail = h("p", { class: "detail" });
    this.pickers = this.places.map((place) => new Picker({ name: "Or an item of the gallery", chosen: (item) => place.set(item) }));
    // The answer first, then the numbers that it is made of.
    this.answer = h("div", { class: "answer", role: "status" }, this.verdict, this.detail, this.number);
    root.append(
      h("div", { class: "sides" },
        h("div", { class: "side" }, this.places[0].element, this.pickers[0].element),
        this.answer,
        h("div", { class: "side" }, this.places[1].element, this.pickers[1].element)),
      this.instrument.element);
    state.pair.addEventListener("threshold", () => this.#judge());
    this.#judge();
  }

  /** `a` and `b` are items of the gallery; `given` a question that comes along. */
  async show(parameters, given) {
    if (given?.file || given?.text !== undefined) this.places[0].set(given, true);
    await Promise.all(["a", "b"].map(async (name, side) => {
      const id = parameters.get(name);
      const place = this.places[side];
      if (id === null || place.question?.id === id) return;
      place.set({ id }, true);
      const item = await api.get(id).catch(() => null);
      if (item && place.question?.id === id) place.set(item, true);
    }));
    this.run();
  }

  paste(event) {
    const file = pasted(event);
    if (file) this.#free().take(file);
    return file !== null;
  }

  take(file) { this.#free().take(file); }

  /** Where the next picture goes: the place in focus, or the first that is empty. */
  #free() {
    const focused = this.places.find(({ element }) => element.contains(document.activeElement));
    return focused ?? this.places.find(({ question }) => !question) ?? this.places[1];
  }

  #changed() {
    const [a, b] = this.places.map(({ question }) => question?.id);
    this.go("compare", { ...(a && { a }), ...(b && { b }) }, true);
    this.run();
  }

  async run() {
    this.#running?.abort();
    const [a, b] = this.places.map(({ question }) => question);
    if (!a || !b) {
      this.#found = null;
      return this.#judge();
    }
    const running = this.#running = new AbortController();
    this.answer.classList.add("waiting");
    try {
      this.#found = await api.compare(a, b, running.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#found = { error };
    }
    if (running !== this.#running) return;
    this.answer.classList.remove("waiting");
    this.#judge();
  }

  #judge() {
    const found = this.#found;
    const same = found && !found.error ? state.pair.same(found.distance) : null;
    this.answer.classList.toggle("same", same === true);
    this.answer.classList.toggle("different", same === false);
    this.answer.classList.toggle("failed", Boolean(found?.error));
    if (!found) {
      this.number.textContent = "";
      const texts = state.about.reads_texts;
      this.verdict.textContent = texts ? "Type two texts" : "Choose two pictures";
      this.detail.textContent = `The answer appears here: whether they ${texts ? "mean" : "show"} the same, and how far they are apart.`;
      this.instrument.mark([]);
      return;
    }
    if (found.error) {
      this.number.textContent = "";
      this.verdict.textContent = "No answer";
      this.detail.textContent = sentence(found.error.message);
      this.instrument.mark([]);
      return;
    }
    this.verdict.textContent = same === null ? `Distance ${distance(found.distance)}` : same ? "The same" : "Different";
    this.detail.textContent = found.probability === null ? "" : `Probability that they are the same: ${percent(found.probability)}, if either answer was as likely before`;
    this.number.textContent = same === null ? "This gallery has no threshold to decide by." : `Distance ${distance(found.distance)}, threshold ${distance(state.pair.threshold)}`;
    this.instrument.mark([{ distance: found.distance, key: 0 }]);
    this.instrument.point(0);
  }
}
