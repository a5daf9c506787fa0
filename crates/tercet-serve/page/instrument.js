// The threshold: the curve from distance to probability, and a slider that moves the threshold.

import { distance, h, percent, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [1000, 100];
const STEPS = 1000;

export class Instrument {
  #to = null;
  #marks = [];

  constructor(judge) {
    this.judge = judge;
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "curve" });
    this.near = svg("rect", { class: "near", x: 0, y: 0, height: HEIGHT });
    this.rug = svg("g", { class: "rug" });
    this.ticks = svg("path", { class: "ticks" });
    this.edge = svg("path", { class: "edge" });
    this.range = h("input", {
      type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Threshold",
      oninput: () => this.judge.move(Number(this.range.value) / STEPS * this.#to),
    });
    this.value = h("b", { class: "value" });
    this.chance = h("span", { class: "chance" });
    this.presets = h("div", { class: "presets", role: "group", "aria-label": "Thresholds" });
    this.end = h("span", {});
    this.legend = h("p", { class: "legend" });
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.near, this.area, this.ticks, this.line, this.rug, this.edge);
    this.element = h("div", { class: "instrument" },
      h("p", { class: "reading" }, h("span", {}, "Threshold: the same below a distance of "), this.value, this.chance),
      h("div", { class: "dial" }, drawing, this.range),
      h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, "distance"), this.end),
      this.presets, this.legend);
    this.#draw();
    judge.addEventListener("learnt", () => this.#draw());
    judge.addEventListener("threshold", () => this.#show());
  }

  #draw() {
    const hidden = this.element.hidden;
    this.#to = span(this.judge);
    this.element.hidden = hidden || this.#to === null;
    if (this.#to === null) return;
    this.end.textContent = distance(this.#to);
    this.legend.replaceChildren(...legend(this.judge));
    this.#drawCurve();
    this.#drawPresets();
    this.mark(this.#marks);
  }

  /** Shows the instrument, if there is a threshold. */
  show() { this.element.hidden = this.#to === null; }

  #x = (d) => Math.min(d / this.#to, 1) * WIDTH;

  #drawCurve() {
    const points = this.judge.curve?.probabilities;
    const places = points?.map((p, at) => `${at / (points.length - 1) * WIDTH} ${(1 - p) * (HEIGHT - 8) + 4}`);
    this.line.setAttribute("d", places ? `M${places.join("L")}` : "");
    this.area.setAttribute("d", places ? `M0 ${HEIGHT}L${places.join("L")}L${WIDTH} ${HEIGHT}Z` : "");
  }

  #drawPresets() {
    const { presets } = this.judge;
    this.ticks.setAttribute("d", presets.map(({ at }) => `M${this.#x(at)} 0V${HEIGHT}`).join(""));
    this.presets.replaceChildren(...presets.flatMap(({ at, name, title, group }, place) => {
      const button = h("button", { type: "button", title, data: { at }, onclick: () => this.judge.move(at) }, name);
      return group && group !== presets[place - 1]?.group ? [h("span", {}, group), button] : [button];
    }));
  }

  /** Shows the distances of results: `[{ distance, key }]`. */
  mark(marks) {
    this.#marks = marks;
    this.rug.replaceChildren();
    if (this.#to === null) return; // no threshold, no axis
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
    const at = this.judge.threshold;
    if (at === null || this.#to === null) return;
    this.range.value = Math.round(at / this.#to * STEPS);
    const probability = this.judge.probability(at);
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

/** The greatest distance shown; null where there is no threshold to move. */
function span(judge) {
  if (judge.threshold === null) return null;
  if (judge.curve) return judge.curve.to;
  const farthest = Math.max(judge.threshold, ...judge.presets.map(({ at }) => at));
  return farthest > 0 ? 1.5 * farthest : null;
}

/** What the lines of the drawing mean. */
function legend(judge) {
  const key = (kind, text) => h("span", { class: "meaning" }, h("span", { class: `line ${kind}`, "aria-hidden": "true" }), text);
  return [
    ...(judge.curve ? [key("curve", "probability of being the same, from 100 % (top) to 0 %")] : []),
    key("mark", "a result"), key("edge", "the threshold: drag it"),
  ];
}
