// The threshold: a curve from distance to probability, and a line to be moved along it.

import { count, distance, h, percent, svg } from "./dom.js";
import { state } from "./state.js";

const [WIDTH, HEIGHT] = [1000, 100];
const STEPS = 1000;

export class Instrument {
  #to;
  #marks = [];

  /** `say` names what lies below the threshold, for people. */
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
      h("p", { class: "reading" }, h("span", {}, "Same below "), this.value, this.chance),
      h("div", { class: "dial" }, drawing, this.range),
      h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, "distance"), h("span", {}, distance(this.#to ?? 0))),
      this.presets);
    this.element.hidden = this.#to === null;
    if (this.#to === null) return;
    this.#drawCurve();
    this.#drawPresets();
    this.#show();
    state.addEventListener("threshold", () => this.#show());
  }

  /** There is something to judge, if the model has a threshold. */
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
      .map(([far, at]) => ({ at, name: `1 in ${count(Math.round(1 / far))}`, title: `At this distance one pair in ${count(Math.round(1 / far))} of different classes passes as the same` }));
    if (threshold !== null) presets.unshift({ at: threshold, name: "most accurate", title: "The distance that was right most often on classes never seen" });
    this.ticks.setAttribute("d", presets.map(({ at }) => `M${this.#x(at)} 0V${HEIGHT}`).join(""));
    const far = presets.findIndex(({ name }) => name.startsWith("1 in"));
    presets.forEach(({ at, name, title }, place) => {
      if (place === far) this.presets.append(h("span", {}, "strangers let pass"));
      this.presets.append(h("button", { type: "button", title, data: { at }, onclick: () => state.setThreshold(at) }, name));
    });
  }

  /** Shows where things lie: `[{ distance, key }]`. */
  mark(marks) {
    this.#marks = marks;
    this.rug.replaceChildren(...marks.map(({ distance: d, key }) => {
      const tick = svg("path", { d: `M${this.#x(d)} ${HEIGHT}V${HEIGHT - 26}`, "data-key": key });
      return tick;
    }));
    this.#show();
  }

  /** Lifts one of them out. */
  point(key) {
    for (const tick of this.rug.children) tick.classList.toggle("pointed", tick.dataset.key === String(key));
  }

  #show() {
    const at = state.threshold;
    if (at === null || this.#to === null) return;
    this.range.value = Math.round(at / this.#to * STEPS);
    const probability = state.probability(at);
    this.value.textContent = distance(at);
    this.chance.textContent = probability === null ? "" : ` where the chance is ${percent(probability)}`;
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
