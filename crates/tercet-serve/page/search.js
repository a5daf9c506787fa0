// Search: a picture, a text or an item, and its nearest neighbours.

import * as api from "./api.js";
import { count, distance, h, percent, sure, things, toast } from "./dom.js";
import { enlarger } from "./enlarge.js";
import { Instrument } from "./instrument.js";
import { Picker } from "./picker.js";
import { image, pasted, Place } from "./picture.js";
import { Sentence, textOf } from "./sentence.js";
import { state } from "./state.js";
import { falseAccepts, sentence } from "./words.js";

const COUNTS = [12, 24, 48, 96];

export class Search {
  #running = null;
  #hits = [];

  constructor(root, go) {
    this.go = go;
    const changed = (question) => this.#changed(question);
    this.place = state.about.reads_texts
      ? new Sentence({ title: "Query", hint: "Type a sentence to find", action: "Search", changed })
      : new Place({ title: "Query", hint: "A picture to find", changed });
    this.picker = new Picker({ name: "Find an item of the gallery", chosen: (item) => this.go("search", { item: item.id }) });
    this.instrument = new Instrument(state.search);
    this.label = h("input", { type: "search", list: "classes", placeholder: "all classes", autocomplete: "off", spellcheck: "false", onchange: () => this.run(), onfocus: () => this.#fillClasses() });
    this.k = h("select", { onchange: () => this.run() }, COUNTS.map((k) => h("option", { value: k, selected: k === 24 }, k)));
    this.classes = h("datalist", { id: "classes" });
    this.actions = h("div", { class: "actions" });
    this.summary = h("p", { class: "summary", role: "status" });
    this.legend = h("p", { class: "legend" });
    this.basis = h("p", { class: "caption basis" });
    this.results = h("ol", { class: "results", onkeydown: (event) => this.#walk(event), "aria-label": "Nearest items" });
    this.start = h("div", { class: "start" });
    root.append(
      h("div", { class: "query" }, this.place.element, this.actions, this.picker.element,
        h("div", { class: "fields" },
          h("label", {}, h("span", {}, "Only of class"), this.label, this.classes),
          h("label", {}, h("span", {}, "How many"), this.k))),
      // The answer first; the threshold that it depends on comes behind it.
      h("div", { class: "found" }, this.summary, this.legend, this.results, this.instrument.element, this.basis, this.start));
    state.search.addEventListener("threshold", () => this.#judge());
    this.#act();
  }

  /** Shows what an address says: `item` for an item of the gallery. */
  async show(parameters) {
    const id = parameters.get("item");
    if (id !== null && this.place.question?.id !== id) {
      this.place.set({ id }, true);
      const item = await api.get(id).catch(() => null);
      if (item && this.place.question?.id === id) this.place.set(item, true);
      this.#act();
      this.run();
    } else if (id === null && this.place.question?.id) {
      this.place.set(null, true);
      this.#act();
      this.#begin();
    } else if (!this.place.question) {
      this.#begin();
    }
  }

  paste(event) {
    const file = pasted(event);
    if (file) this.place.take(file);
    return file !== null;
  }

  take(file) { this.place.take(file); }

  #changed(question) {
    if (question?.id) {
      this.place.set(null, true);
      this.go("search", { item: question.id });
    } else {
      this.go("search", {}, true);
      this.#act();
      this.run();
    }
  }

  /** Suggests what the map has classes for. */
  async #fillClasses() {
    const { classes } = await state.map().catch(() => ({ classes: [] }));
    this.classes.replaceChildren(...classes.slice(0, 2000).map((name) => h("option", { value: name })));
  }

  /** Something to start from. */
  async #begin() {
    this.#running?.abort();
    this.#hits = [];
    this.results.replaceChildren();
    this.instrument.mark([]);
    this.summary.textContent = "";
    this.instrument.element.hidden = true;
    this.summary.hidden = true;
    this.legend.hidden = true;
    this.basis.hidden = true;
    this.start.replaceChildren(
      h("h2", {}, !state.about.items ? "The gallery is empty" : state.about.reads_texts ? "Find what means the same" : "Find what looks the same"),
      h("p", { class: "lead" }, this.#invitation()),
      h("ul", { class: "samples" }, Array.from({ length: state.about.items ? 18 : 0 }, () => h("li", { class: "blank" }))));
    if (!state.about.items) return;
    const items = await api.sample(18).catch((error) => { toast(sentence(error.message)); return []; });
    if (this.place.question) return;
    const samples = this.start.querySelector(".samples");
    samples.classList.toggle("texts", items.some((item) => textOf(item) !== null));
    samples.replaceChildren(...items.map((item) => h("li", {},
      h("a", { href: `#search?item=${encodeURIComponent(item.id)}`, title: item.id }, this.#seen(item, item.label ?? item.id)))));
  }

  #invitation() {
    const { items, embeds, reads_texts: texts } = state.about;
    if (texts) return items ? "Type a sentence, or start from one of these." : "Type a sentence, and add it to the gallery.";
    if (!items) return embeds ? "Drop a picture, and add it to the gallery." : "Add items with tercet gallery add.";
    return embeds ? "Drop a picture, paste one, or start from one of these." : "Start from one of these.";
  }

  /** An item as it is seen: its text, or else its picture. */
  #seen(item, alternative) {
    const text = textOf(item);
    return text === null
      ? image(api.thumbnail(item.id), alternative, { id: item.id, label: item.label })
      : h("span", { class: "words" }, text);
  }

  async run() {
    const question = this.place.question;
    if (!question) return;
    this.summary.hidden = false;
    this.#running?.abort();
    const running = this.#running = new AbortController();
    this.start.replaceChildren();
    this.results.classList.add("waiting");
    if (!this.#hits.length) this.#blank();
    this.summary.classList.remove("wrong");
    this.summary.textContent = "Searching …";
    try {
      const found = await api.search(question, { k: this.k.value, label: this.label.value.trim() }, running.signal);
      if (running !== this.#running) return;
      this.#show(found);
    } catch (error) {
      if (error.name === "AbortError" || running !== this.#running) return;
      this.#hits = [];
      this.results.replaceChildren();
      this.legend.hidden = true;
      this.basis.hidden = true;
      this.instrument.element.hidden = true;
      this.instrument.mark([]);
      this.summary.classList.add("wrong");
      this.summary.textContent = sentence(error.message);
    } finally {
      if (running === this.#running) this.results.classList.remove("waiting");
    }
  }

  #blank() {
    this.results.replaceChildren(...Array.from({ length: Number(this.k.value) }, () => h("li", { class: "blank" }, h("div", { class: "picture" }))));
  }

  #show({ hits, seconds, method }) {
    this.#hits = hits;
    this.results.classList.toggle("texts", hits.some((hit) => textOf(hit) !== null));
    this.time = `${Math.max(1, Math.round(seconds * 1000))}\u00a0ms${method === "exact" ? "" : `, by ${method}`}`;
    this.results.replaceChildren(...hits.map((hit, place) => {
      const link = h("a", {
        href: `#search?item=${encodeURIComponent(hit.id)}`, title: hit.id, draggable: "true", tabindex: place ? "-1" : "0",
        onmouseenter: () => this.instrument.point(place), onfocus: () => this.instrument.point(place),
        onmouseleave: () => this.instrument.point(null), onblur: () => this.instrument.point(null),
        ondragstart: (event) => event.dataTransfer.setData("application/x-tercet-item", hit.id),
      },
        h("div", { class: "picture" }, this.#seen(hit, ""), h("span", { class: "sign", "aria-hidden": "true" })),
        h("span", { class: "label" }, hit.label ?? hit.id),
        hit.other_class ? h("span", { class: "another" }, "another class") : "",
        h("span", { class: "figures" }, h("span", {}, distance(hit.distance)), hit.probability === null ? "" : h("span", { class: "probability" }, percent(hit.probability))),
        h("span", { class: "unseen verdict" }));
      return h("li", {}, link, textOf(hit) === null ? enlarger({ source: api.thumbnail(hit.id), title: hit.label, text: hit.id }) : "");
    }));
    this.instrument.show();
    this.instrument.mark(hits.map((hit, key) => ({ distance: hit.distance, key })));
    this.#explain();
    if (!hits.length) this.summary.textContent = this.label.value.trim() ? "Nothing of that class in the gallery." : "Nothing else in the gallery.";
    this.#judge();
    this.#act();
  }

  /** What the frames and the numbers of the results mean. */
  #explain() {
    const frame = (kind, text) => h("span", { class: `meaning ${kind}` }, h("span", { class: "swatch", "aria-hidden": "true" }), text);
    const judged = state.search.threshold !== null;
    const other = this.#hits.some((hit) => hit.other_class);
    this.legend.replaceChildren(...(judged ? [frame("same", "the same"), frame("different", "not the same")] : []),
      ...(judged && other ? [frame("conflict", "called the same, but of another class than the query")] : []),
      h("span", {}, `below each ${this.results.classList.contains("texts") ? "text" : "picture"}: ${this.#hits.some(({ probability }) => probability !== null) ? "distance and probability of being the same" : "the distance"}`),
      h("span", {}, `found in ${this.time}`));
    this.legend.hidden = !this.#hits.length;
    this.basis.textContent = this.#because();
    this.basis.hidden = !this.#hits.length || !this.basis.textContent;
  }

  /** Why the threshold is where it is. */
  #because() {
    const { false_matches_per_query: rate, note, prior, threshold } = state.decision;
    if (threshold === null) return "";
    const sentences = [];
    if (rate !== null) {
      sentences.push(`The threshold is chosen for the size of this gallery: of the queries of a class that is not in it, at most ${falseAccepts(rate)} finds something that is called the same.`);
    }
    if (this.#hits.some(({ probability }) => probability !== null)) {
      sentences.push(`Probabilities assume that half of the queries are of a class in the gallery: before its distance is known, an item is the same with a probability of ${percent(prior)}.`);
    }
    if (note) sentences.push(sentence(note));
    return sentences.join(" ");
  }

  /** The same or not, by the threshold as it is now. */
  #judge() {
    if (!this.#hits.length) return;
    let same = 0;
    let wrong = 0;
    [...this.results.children].forEach((entry, place) => {
      const hit = this.#hits[place];
      const verdict = state.search.same(hit.distance);
      entry.classList.toggle("same", verdict === true);
      entry.classList.toggle("different", verdict === false);
      entry.classList.toggle("conflict", verdict === true && hit.other_class === true);
      entry.querySelector(".verdict").textContent = verdict === null ? "" : !verdict ? "not the same" : hit.other_class ? "called the same, but of another class" : "the same";
      if (verdict) same++;
      if (verdict && hit.other_class) wrong++;
    });
    const total = this.#hits.length;
    this.summary.classList.toggle("unknown", same === 0);
    this.summary.textContent = state.search.threshold === null
      ? `The ${things(total, "nearest item")}`
      : same === 0 ? "Not similar to anything in the gallery"
      : `${same === total ? "All" : same} of the ${things(total, "nearest item")} ${same === 1 ? "is" : "are"} ${wrong ? "called the same" : "the same"}${wrong ? `, ${count(wrong)} of them of another class than the query` : ""}`;
  }

  /** Arrow keys go from result to result. */
  #walk(event) {
    const links = [...this.results.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = getComputedStyle(this.results).gridTemplateColumns.split(" ").length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined || !links[to]) return;
    event.preventDefault();
    links[at].tabIndex = -1;
    links[to].tabIndex = 0;
    links[to].focus();
  }

  /** What can be done with the query. */
  #act() {
    const question = this.place.question;
    const button = (name, run, kind = "") => h("button", { type: "button", class: kind, onclick: run }, name);
    const actions = [];
    if (question) actions.push(button("Compare with …", () => this.go("compare", question.id ? { a: question.id } : {}, false, question)));
    if (question?.id) actions.push(h("a", { class: "button", href: `#map?item=${encodeURIComponent(question.id)}` }, "On the map"));
    if (question?.id && state.about.writable) actions.push(button("Remove", () => this.#remove(question.id)));
    if (question?.file || question?.text !== undefined) actions.push(button("Clear", () => { this.place.set(null, true); this.#act(); this.#begin(); }));
    this.actions.replaceChildren(...actions);
    const isNew = question?.file ? state.about.embeds : question?.text !== undefined;
    if (isNew && state.about.writable) this.actions.append(this.#adding(question));
  }

  #adding({ file, text, name }) {
    const nearest = this.#hits[0];
    const label = h("input", { list: "classes", onfocus: () => this.#fillClasses(), autocomplete: "off", spellcheck: "false", value: nearest && state.search.same(nearest.distance) ? nearest.label ?? "" : "" });
    const id = h("input", { autocomplete: "off", spellcheck: "false", value: name && name !== "image.png" ? name : "", placeholder: "made from its content" });
    const form = h("form", { class: "adding", onsubmit: async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        const added = await api.add({ file, text }, { id: id.value.trim(), label: label.value.trim() });
        await state.changed();
        toast(`Added ${added.id}`, { name: "Undo", run: () => this.#undo(added.id) });
        this.go("search", { item: added.id });
      } catch (error) {
        this.place.say(sentence(error.message));
      } finally {
        button.disabled = false;
      }
    } },
      h("label", {}, h("span", {}, "Class"), label), h("label", {}, h("span", {}, "Name"), id), h("button", { class: "main" }, "Add"));
    return h("details", {}, h("summary", {}, "Add to the gallery"), form);
  }

  async #undo(id) {
    try {
      await api.remove(id);
      await state.changed();
      toast(`Removed ${id} again`);
      if (this.place.question?.id === id) this.go("search", {});
    } catch (error) {
      toast(sentence(error.message));
    }
  }

  async #remove(id) {
    if (!await sure("Remove this item?", `${id} is removed from the gallery. This cannot be undone.`)) return;
    try {
      await api.remove(id);
      await state.changed();
      toast(`Removed ${id}`);
      this.go("search", {});
    } catch (error) {
      toast(sentence(error.message));
    }
  }
}
