// Model: what it was trained on, and how well it does on classes that it was not trained on.

import { count, distance, h, percent, things } from "./dom.js";
import { state } from "./state.js";

export class Card {
  constructor(root) {
    this.root = root;
    state.addEventListener("gallery", () => this.show());
  }

  show() {
    const { card, about } = state;
    if (!card) {
      this.root.replaceChildren(h("p", { class: "notice" },
        "This gallery is served without its model: its items can be searched and compared, new pictures cannot. Start the server with ", h("code", {}, "--model FILE"), "."));
      return;
    }
    const { results, config } = card.provenance;
    this.root.replaceChildren(
      h("p", { class: "lead" }, this.#sentence()),
      ...this.#figures(results),
      h("h2", {}, `Thresholds to compare two ${about.reads_texts ? "texts" : "pictures"}`),
      this.#thresholds(state.pair, "compare", "This model has no thresholds: no classes were held out to evaluate it on."),
      ...(card.curve ? [h("p", { class: "caption" }, "The probability assumes that half of all pairs are the same.")] : []),
      h("h2", {}, "Thresholds to search this gallery"),
      this.#thresholds(state.search, "search", "Nothing says how close different classes come, so no threshold can be chosen for searches."),
      ...(state.decision.thresholds.length ? [h("p", { class: "caption" }, "False matches: how many of the queries of a class that is not in the gallery find something that is called the same, at most. The probability assumes that half of the queries are of a class in the gallery.")] : []),
      h("h2", {}, "Details"),
      h("dl", { class: "facts" }, ...this.#facts(card, config, about).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("p", { class: "caption" }, "Programs ask the same server: ", h("a", { href: "/api/openapi.json" }, "/api/openapi.json"), ", ", h("a", { href: "/metrics" }, "/metrics"), "."));
  }

  #sentence() {
    const { config, held_out: unseen } = state.card.provenance;
    const source = config?.source ? ` on ${config.source}` : "";
    return unseen?.length ? `Trained${source}, and evaluated on ${things(unseen.length, "class", "classes")} that were not used for training.` : `Trained${source}.`;
  }

  #figures(results) {
    const after = results?.after ?? results;
    const before = results?.before?.pixels ?? results?.before?.features;
    const raw = results?.before?.pixels ? "raw pixels" : "raw vectors";
    if (typeof after?.map_at_r !== "number") return [];
    const figures = [
      ["Recall@1", after.recall_at_k?.["1"], after.ci95?.recall_at_1, before?.recall_at_k?.["1"]],
      ["MAP@R", after.map_at_r, after.ci95?.map_at_r, before?.map_at_r],
      ["Verification", after.verification?.accuracy?.mean, null, null],
    ].filter(([, value]) => typeof value === "number");
    return [h("div", { class: "headlines" }, figures.map(([name, value, interval, base]) => h("section", {},
      h("h2", {}, name),
      h("p", { class: "value" }, (value * 100).toFixed(1), h("small", {}, " %")),
      h("p", { class: "interval" }, interval ? `95 % interval: ${(interval[0] * 100).toFixed(1)} – ${(interval[1] * 100).toFixed(1)}` : name === "Verification" ? "of pairs decided correctly" : ""),
      typeof base === "number" ? h("p", { class: "interval" }, `${raw}: ${(base * 100).toFixed(1)}`) : ""))) ];
  }

  #thresholds(judge, view, none) {
    const rows = judge.presets.map(({ at, name, group }) => [group ? `${group} ${name}` : name, at]);
    if (!rows.length) return h("p", {}, none);
    const use = (at) => { judge.move(at); location.hash = `#${view}`; };
    return h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "Threshold"), h("th", {}, "Distance"), h("th", {}, "Probability there"), h("th", {}, h("span", { class: "unseen" }, "Use it")))),
      h("tbody", {}, rows.map(([name, at]) => h("tr", {},
        h("th", {}, name), h("td", {}, distance(at)), h("td", {}, judge.probability(at) === null ? "–" : percent(judge.probability(at))),
        h("td", {}, h("button", { type: "button", class: "quiet", onclick: () => use(at) }, "use")))))));
  }

  #facts(card, config, about) {
    const { preprocessing: p } = card;
    const facts = [
      ["Input", p.width ? `${p.width} × ${p.height}, ${p.channels === 1 ? "gray" : "colour"}` : p.max_tokens ? `texts of at most ${count(p.max_tokens)} tokens` : `${count(p.dimensions)} numbers`],
      ["Encoder", card.encoder.name],
      ["Embedding", `${about.dimensions} numbers`],
      ["Distance", about.metric],
      ["Objective", config?.objective],
      ["Steps", typeof config?.steps === "number" ? count(config.steps) : null],
      ["Seed", String(card.provenance.seed)],
      ["Version", card.provenance.tercet],
      ["Fingerprint", card.fingerprint],
    ];
    return facts.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [name, String(value)]);
  }
}
