// The threshold: the curve from distance to probability, and a slider that moves the threshold.

import { distance, h, percent, svg } from "./dom.js";
import { state } from "./state.js";
import { falseAccepts } from "./words.js";

const [WIDTH, HEIGHT] = [1000, 100];
const STEPS = 1000;

export class Instrument {
  #to;
  #marks = [];

  constructor() {
    this.#to = span();
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "curve" });
    this.near = svg("rect", { class: "near", x: 0, y: 0, height: HEIGHT });
    this.rug = svg("g", { class: "rug" });
    this.ticks = svg("path", { class: "ticks" });
    this.edge = svg("path", { class: "edge" });
    this.range = h("input", {
      type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Threshold",
      oninput: () => state.setThreshold(Number(this.range.value) / STEPS * this.#to),
    });
    this.value = h("b", { class: "value" });
    this.chance = h("span", { class: "chance" });
    this.presets = h("div", { class: "presets", role: "group", "aria-label": "Thresholds of the model" });
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.near, this.area, this.ticks, this.line, this.rug, this.edge);
    this.element = h("div", { class: "instrument" },
      h("p", { class: "reading" }, h("span", {}, "Threshold: the same below a distance of "), this.value, this.chance),
      h("div", { class: "dial" }, drawing, this.range),
      h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, "distance"), h("span", {}, distance(this.#to ?? 0))),
      this.presets,
      h("p", { class: "legend" }, ...legend()));
    this.element.hidden = this.#to === null;
    if (this.#to === null) return;
    this.#drawCurve();
    this.#drawPresets();
    this.#show();
    state.addEventListener("threshold", () => this.#show());
  }

  /** Shows the instrument, if the model has a threshold. */
  show() { this.element.hidden = this.#to === null; }

  #x = (d) => Math.min(d / this.#to, 1) * WIDTH;

  #drawCurve() {
    const points = state.card.curve?.probabilities;
    if (!points) return;
    const places = points.map((p, at) => `${at / (points.length - 1) * WIDTH} ${(1 - p) * (HEIGHT - 8) + 4}`);
    this.line.setAttribute("d", `M${places.join("L")}`);
    this.area.setAttribute("d", `M0 ${HEIGHT}L${places.join("L")}L${WIDTH} ${HEIGHT}Z`);
  }

  #drawPresets() {
    const { threshold, thresholds } = state.card;
    const presets = Object.entries(thresholds)
      .map(([far, at]) => [Number(far), at])
      .sort(([one], [other]) => other - one)
      .map(([far, at]) => ({ at, far, name: falseAccepts(far), title: `With this threshold, ${falseAccepts(far)} pairs of different classes is called the same` }));
    if (threshold !== null) presets.unshift({ at: threshold, name: "most accurate", title: "The threshold with the most correct answers on classes that were not used for training" });
    this.ticks.setAttribute("d", presets.map(({ at }) => `M${this.#x(at)} 0V${HEIGHT}`).join(""));
    const far = presets.findIndex((preset) => preset.far !== undefined);
    presets.forEach(({ at, name, title }, place) => {
      if (place === far) this.presets.append(h("span", {}, "false accepts:"));
      this.presets.append(h("button", { type: "button", title, data: { at }, onclick: () => state.setThreshold(at) }, name));
    });
  }

  /** Shows the distances of results: `[{ distance, key }]`. */
  mark(marks) {
    this.#marks = marks;
    this.rug.replaceChildren(...marks.map(({ distance: d, key }) => {
      const tick = svg("path", { d: `M${this.#x(d)} ${HEIGHT}V${HEIGHT - 26}`, "data-key": key });
      return tick;
    }));
    this.#show();
  }

  /** Highlights one of them. */
  point(key) {
    for (const tick of this.rug.children) tick.classList.toggle("pointed", tick.dataset.key === String(key));
  }

  #show() {
    const at = state.threshold;
    if (at === null || this.#to === null) return;
    this.range.value = Math.round(at / this.#to * STEPS);
    const probability = state.probability(at);
    this.value.textContent = distance(at);
    this.chance.textContent = probability === null ? "" : `, where the probability is ${percent(probability)}`;
    this.range.setAttribute("aria-valuetext", `distance ${distance(at)}${probability === null ? "" : `, probability ${percent(probability)}`}`);
    this.near.setAttribute("width", this.#x(at));
    this.edge.setAttribute("d", `M${this.#x(at)} 0V${HEIGHT}`);
    [...this.rug.children].forEach((tick, place) => tick.classList.toggle("same", this.#marks[place].distance < at));
    for (const preset of this.presets.querySelectorAll("button")) {
      preset.setAttribute("aria-pressed", String(Math.abs(Number(preset.dataset.at) - at) < this.#to / STEPS / 2));
    }
  }
}

/** The greatest distance shown; null where the model has no threshold to move. */
function span() {
  if (!state.card || state.threshold === null) return null;
  if (state.card.curve) return state.card.curve.to;
  return 1.5 * Math.max(state.card.threshold, ...Object.values(state.card.thresholds));
}

/** What the lines of the drawing mean. */
function legend() {
  const key = (kind, text) => h("span", { class: "meaning" }, h("span", { class: `line ${kind}`, "aria-hidden": "true" }), text);
  return [
    ...(state.card?.curve ? [key("curve", "probability of being the same, from 100 % (top) to 0 %")] : []),
    key("mark", "a result"), key("edge", "the threshold: drag it"),
  ];
}
