// What all views share: the gallery, its model, and how distances are decided.

import * as api from "./api.js";
import { Judge } from "./judge.js";
import { falseAccepts } from "./words.js";

class State extends EventTarget {
  about = null;
  /** What the server says about the threshold of searches. */
  decision = null;
  card = null;
  /** Of a search: chosen for a gallery of this size, in which almost no item is the same. */
  search = new Judge();
  /** Of two things that are as likely to be the same as not. */
  pair = new Judge();
  #map = null;

  async load() {
    const [about, card, decision] = await Promise.all([api.about(), api.card(), api.decision()]);
    [this.about, this.card] = [about, card];
    this.pair.learn(ofPairs(card));
    this.#decide(decision);
    this.dispatchEvent(new Event("gallery"));
  }

  /** The gallery has changed: by us, or by somebody else. */
  async changed() {
    this.#map = null;
    const [about, decision] = await Promise.all([api.about(), api.decision()]);
    this.about = about;
    this.#decide(decision);
    this.dispatchEvent(new Event("gallery"));
  }

  #decide(decision) {
    this.decision = decision;
    this.search.learn({ threshold: decision.threshold, curve: decision.curve, presets: ofRates(decision.thresholds) });
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
}

/** The thresholds of the model, for two things. */
function ofPairs(card) {
  if (!card) return { threshold: null, curve: null, presets: [] };
  const presets = Object.entries(card.thresholds)
    .map(([far, at]) => [Number(far), at])
    .sort(([one], [other]) => other - one)
    .map(([far, at]) => ({ at, group: "false accepts:", name: falseAccepts(far), title: `With this threshold, ${falseAccepts(far)} pairs of different classes is called the same` }));
  if (card.threshold !== null) presets.unshift({ at: card.threshold, group: "", name: "most accurate", title: "The threshold with the most correct answers on classes that were not used for training" });
  return { threshold: card.threshold, curve: card.curve, presets };
}

/** The thresholds of a search, by how many queries of unknown classes have a false match. */
const ofRates = (thresholds) => thresholds.map(({ false_matches_per_query: rate, threshold: at }) => ({
  at, group: "false matches:", name: `${falseAccepts(rate)} queries`,
  title: `With this threshold, at most ${falseAccepts(rate)} queries of a class that is not in the gallery finds something that is called the same`,
}));

export const state = new State();
