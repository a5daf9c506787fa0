// What all views share: the gallery, its model, and the threshold in use.

import * as api from "./api.js";

class State extends EventTarget {
  about = null;
  card = null;
  /** Below this distance two things are the same; null without a model that has one. */
  threshold = null;
  #map = null;

  async load() {
    [this.about, this.card] = await Promise.all([api.about(), api.card()]);
    this.threshold = this.card?.threshold ?? null;
    this.dispatchEvent(new Event("gallery"));
  }

  /** The gallery has changed: by us, or by somebody else. */
  async changed() {
    this.#map = null;
    this.about = await api.about();
    this.dispatchEvent(new Event("gallery"));
  }

  setThreshold(distance) {
    this.threshold = distance;
    this.dispatchEvent(new Event("threshold"));
  }

  /** The next call of `map` asks the server again. */
  forgetMap() { this.#map = null; }

  /** The map, fetched when it is first needed; `stale` while the server draws a newer one. */
  map() {
    this.#map ??= api.projection().catch((error) => {
      this.#map = null;
      throw error;
    });
    return this.#map;
  }

  /** The probability of being the same, by the model's curve. */
  probability(distance) {
    const curve = this.card?.curve;
    if (!curve) return null;
    const place = Math.min(distance / curve.to, 1) * (curve.probabilities.length - 1);
    const [before, after] = [Math.floor(place), Math.ceil(place)];
    const [p, q] = [curve.probabilities[before], curve.probabilities[after]];
    return p + (q - p) * (place - before);
  }

  same(distance) {
    return this.threshold === null ? null : distance < this.threshold;
  }
}

export const state = new State();
