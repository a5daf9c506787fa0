// How distances are decided: a threshold that can be moved, a curve from distance to probability, and
// thresholds with names.

export class Judge extends EventTarget {
  /** Below this distance two things are the same; null where nothing tells. */
  threshold = null;
  /** `{ to, probabilities }`: probabilities at even steps from distance 0; null without. */
  curve = null;
  /** `[{ at, name, title, group }]` */
  presets = [];
  #own = null;

  /** What the server says. A threshold that was moved by hand stays where it is. */
  learn({ threshold, curve, presets }) {
    const moved = this.threshold !== this.#own;
    this.#own = threshold;
    if (!moved) this.threshold = threshold;
    [this.curve, this.presets] = [curve, presets];
    this.dispatchEvent(new Event("learnt"));
    this.dispatchEvent(new Event("threshold"));
  }

  /** Whether the threshold is the one that the server chose. */
  get untouched() { return this.threshold === this.#own; }

  move(distance) {
    this.threshold = distance;
    this.dispatchEvent(new Event("threshold"));
  }

  /** The probability of being the same, by the curve. */
  probability(distance) {
    if (!this.curve) return null;
    const { to, probabilities } = this.curve;
    const place = Math.min(distance / to, 1) * (probabilities.length - 1);
    const [before, after] = [Math.floor(place), Math.ceil(place)];
    const [p, q] = [probabilities[before], probabilities[after]];
    return p + (q - p) * (place - before);
  }

  same(distance) {
    return this.threshold === null ? null : distance < this.threshold;
  }
}
