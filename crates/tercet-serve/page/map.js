// Map: the gallery as a plane, to look around in.

import * as api from "./api.js";
import { count, h, things } from "./dom.js";
import { colour, shape } from "./marks.js";
import { image } from "./picture.js";
import { textOf } from "./sentence.js";
import { state } from "./state.js";
import { sentence } from "./words.js";

/** How far one can zoom in. */
const MOST = 60;
/** Pictures take the place of marks when so few are in sight. */
const PICTURES = 240;
/** Entries of the legend before it is unfolded. */
const KEYS = 24;
/** Milliseconds until a map of the gallery as it was before is asked for again. */
const AGAIN = 2000;

export class MapView {
  #map = null;
  #drawing = false;
  #view = { scale: 1, left: 0, up: 0 };
  #whole = { scale: 1, left: 0, up: 0 };
  #size = { width: 0, height: 0 };
  #chosen = -1;
  #marked = null;
  #pictures = new Map();
  #wanted = null;
  #unfolded = false;
  #again = null;

  constructor(root, go) {
    this.go = go;
    this.root = root;
    this.canvas = h("canvas", { tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of the gallery. Arrow keys go from item to item, Enter searches by it, plus and minus zoom, 0 shows all, shift with arrows moves the map." });
    this.pen = this.canvas.getContext("2d");
    this.find = h("input", { type: "search", placeholder: "class or item", autocomplete: "off", spellcheck: "false", oninput: () => this.#seek() });
    this.found = h("output", {});
    this.tip = h("div", { class: "tip", hidden: true });
    this.status = h("p", { class: "unseen", role: "status" });
    this.over = h("div", { class: "over", role: "status" });
    this.key = h("div", { class: "key", role: "group", "aria-label": "Legend: colour and shape of each class" });
    this.caption = h("p", { class: "caption" });
    const button = (name, text, run) => h("button", { type: "button", "aria-label": name, title: name, onclick: run }, text);
    root.append(
      h("form", { class: "tools", role: "search", onsubmit: (event) => event.preventDefault() },
        h("label", {}, h("span", {}, "Find "), this.find), this.found,
        h("span", { class: "buttons" }, button("Zoom in", "+", () => this.#zoom(1.7)), button("Zoom out", "−", () => this.#zoom(1 / 1.7)), button("Show all", "All", () => this.#zoom(0)))),
      h("div", { class: "frame" }, this.canvas, this.tip, this.over), this.key, this.caption, this.status);
    this.#listen();
    new ResizeObserver(() => this.#measure()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.#drawKey(); this.#paint(); });
    state.addEventListener("gallery", () => { if (root.hidden) this.#map = null; else this.#load(); });
  }

  /** `item` is looked up on the map. */
  async show(parameters) {
    this.#wanted = parameters.get("item");
    if (this.#map) this.#lookUp();
    else await this.#load();
  }

  async #load() {
    clearTimeout(this.#again);
    // While a new map is made, the last one stays on the screen.
    if (!this.#map) this.over.replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), h("span", {}, "Drawing the map …"));
    this.over.hidden = Boolean(this.#map);
    try {
      const map = await state.map();
      if (map.stale) this.#again = setTimeout(() => { state.forgetMap(); if (!this.root.hidden) this.#load(); }, AGAIN);
      if (map === this.#map || (map.stale && map.generation === this.#map?.generation)) return;
      this.#set(map);
      this.over.hidden = map.ids.length > 0;
      if (!map.ids.length) this.over.replaceChildren(h("span", {}, "The gallery is empty."));
    } catch (error) {
      this.over.hidden = false;
      this.over.replaceChildren(h("span", {}, sentence(error.message)), h("button", { type: "button", onclick: () => this.#load() }, "Try again"));
    }
  }

  #set(map) {
    this.#map = map;
    this.#pictures.clear();
    this.#marked = null;
    this.found.textContent = "";
    this.#choose(-1);
    const [left, right] = [Math.min(...map.x), Math.max(...map.x)];
    const [bottom, top] = [Math.min(...map.y), Math.max(...map.y)];
    map.width = right - left || 1;
    map.height = top - bottom || 1;
    map.px = map.x.map((x) => x - left);
    map.py = map.y.map((y) => top - y);
    map.members = new Map();
    map.class.forEach((name, at) => {
      const key = name ?? -1;
      if (!map.members.has(key)) map.members.set(key, []);
      map.members.get(key).push(at);
    });
    map.order = [...map.members.keys()].sort((one, other) => one - other);
    map.rank = new Map(map.order.map((key, place) => [key, place]));
    const shown = map.ids.length;
    this.caption.textContent = `${map.stale ? "The gallery has changed since; a new map is being drawn. " : ""}${shown < map.items ? `${count(shown)} of ${things(map.items, "item")}` : things(shown, "item")} of ${things(map.classes.length, "class", "classes")}. ${map.method === "t-sne" ? "Items that are close together are similar; large distances mean nothing (t-SNE). " : ""}Click an item to search by it; drag to move, scroll or pinch to zoom.`;
    this.#drawKey();
    this.#measure();
    // What was searched for on the map before is marked on this one too.
    if (this.find.value) this.#seek();
    this.#lookUp();
  }

  #lookUp() {
    if (this.#wanted === null) return;
    const at = this.#map.ids.indexOf(this.#wanted);
    this.#wanted = null;
    if (at < 0) {
      this.found.textContent = "not on this map";
      return;
    }
    const scale = this.#whole.scale * 9;
    this.#view = { scale, left: this.#size.width / 2 - this.#map.px[at] * scale, up: this.#size.height / 2 - this.#map.py[at] * scale };
    this.#choose(at, true);
    this.#paint();
  }

  #name(key) { return key < 0 ? "no class" : this.#map.classes[key]; }
  #x(at) { return this.#map.px[at] * this.#view.scale + this.#view.left; }
  #y(at) { return this.#map.py[at] * this.#view.scale + this.#view.up; }
  get #zoomed() { return this.#view.scale / this.#whole.scale; }

  #radius() {
    const items = this.#map.ids.length;
    return (items < 500 ? 4.6 : items < 3000 ? 3.2 : 2.4) * Math.min(this.#zoomed ** 0.35, 2.6);
  }

  #measure() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const before = this.#size;
    this.#size = { width: box.width, height: box.height };
    this.canvas.width = Math.round(box.width * devicePixelRatio);
    this.canvas.height = Math.round(box.height * devicePixelRatio);
    if (!this.#map) return;
    const zoomed = this.#zoomed;
    const middle = { x: (before.width / 2 - this.#view.left) / this.#view.scale, y: (before.height / 2 - this.#view.up) / this.#view.scale };
    const { width, height } = this.#map;
    const edge = 28;
    const scale = Math.min((box.width - 2 * edge) / width, (box.height - 2 * edge) / height);
    const fresh = this.#whole.of !== this.#map;
    this.#whole = { of: this.#map, scale, left: (box.width - width * scale) / 2, up: (box.height - height * scale) / 2 };
    if (fresh || zoomed <= 1.001) this.#view = { ...this.#whole };
    else this.#view = { scale: scale * zoomed, left: box.width / 2 - middle.x * scale * zoomed, up: box.height / 2 - middle.y * scale * zoomed };
    this.#place();
    this.#draw();
  }

  #paint() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = false;
    const { pen } = this;
    const { width, height } = this.#size;
    pen.setTransform(this.canvas.width / width, 0, 0, this.canvas.height / height, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!this.#map) return;
    const r = this.#radius();
    const inSight = [];
    for (let at = 0; at < this.#map.ids.length; at++) {
      const [x, y] = [this.#x(at), this.#y(at)];
      if (x > -40 && y > -40 && x < width + 40 && y < height + 40) inSight.push(at);
    }
    const pictured = this.#zoomed > 1.5 && inSight.length <= PICTURES;
    // Only what was searched for makes the rest fade; pointing at an item never does.
    const lit = this.#marked;
    const byClass = new Map();
    for (const at of inSight) {
      const key = this.#map.class[at] ?? -1;
      if (!byClass.has(key)) byClass.set(key, []);
      byClass.get(key).push(at);
    }
    for (const layer of lit ? [false, true] : [null]) {
      pen.globalAlpha = layer === false ? 0.22 : 0.88;
      for (const key of byClass.keys()) {
        const place = this.#map.rank.get(key);
        const path = new Path2D();
        for (const at of byClass.get(key)) {
          if (layer !== null && lit.has(at) !== layer) continue;
          if (pictured && this.#drawPicture(at, key, place)) continue;
          shape(path, place, this.#x(at), this.#y(at), r);
        }
        pen.fillStyle = colour(place, this.#map.order.length, key < 0);
        pen.fill(path);
      }
    }
    pen.globalAlpha = 1;
    if (this.#chosen >= 0 && !pictured) this.#circle(r);
  }

  /** Circles the item that was pointed at, and thinly the others of its class. */
  #circle(r) {
    const { pen } = this;
    const key = this.#map.class[this.#chosen] ?? -1;
    const others = key < 0 ? [] : this.#map.members.get(key);
    pen.strokeStyle = getComputedStyle(this.canvas).color;
    for (const at of [...others, this.#chosen]) {
      const chosen = at === this.#chosen;
      pen.lineWidth = chosen ? 2 : 1;
      pen.beginPath();
      pen.arc(this.#x(at), this.#y(at), r + (chosen ? 4 : 2), 0, 7);
      pen.stroke();
    }
  }

  /** Draws an item's picture, if it has come; otherwise sends for it. */
  #drawPicture(at, key, place) {
    let picture = this.#pictures.get(at);
    if (!picture) {
      picture = new Image();
      picture.onload = () => this.#paint();
      picture.onerror = () => { picture.failed = true; };
      picture.src = api.thumbnail(this.#map.ids[at]);
      this.#pictures.set(at, picture);
    }
    if (!picture.complete || picture.failed || !picture.naturalWidth) return false;
    const { pen } = this;
    const side = Math.min(56, 18 + 2.4 * this.#zoomed) * (at === this.#chosen ? 1.25 : 1);
    const fit = side / Math.max(picture.naturalWidth, picture.naturalHeight);
    const [w, t] = [picture.naturalWidth * fit, picture.naturalHeight * fit];
    const [x, y] = [this.#x(at) - w / 2, this.#y(at) - t / 2];
    pen.imageSmoothingEnabled = picture.naturalWidth > side;
    pen.drawImage(picture, x, y, w, t);
    pen.lineWidth = at === this.#chosen ? 3 : 1.5;
    pen.strokeStyle = at === this.#chosen ? getComputedStyle(this.canvas).color : colour(place, this.#map.order.length, key < 0);
    pen.strokeRect(x - 0.75, y - 0.75, w + 1.5, t + 1.5);
    return true;
  }

  #place() {
    if (this.#chosen < 0) return;
    const { width, height } = this.#size;
    const [x, y] = [this.#x(this.#chosen), this.#y(this.#chosen)];
    const { offsetWidth: w, offsetHeight: t } = this.tip;
    const gap = 34;
    const beside = x + gap + w <= width ? x + gap : x - gap - w;
    this.tip.style.left = `${Math.min(Math.max(beside, 4), Math.max(width - w - 4, 4))}px`;
    this.tip.style.top = `${Math.min(Math.max(y - t / 2, 4), Math.max(height - t - 4, 4))}px`;
  }

  #choose(at, aloud) {
    if (at === this.#chosen) return;
    this.#chosen = at;
    this.tip.hidden = at < 0;
    if (at >= 0) {
      const [id, label] = [this.#map.ids[at], this.#name(this.#map.class[at] ?? -1)];
      this.tip.replaceChildren(state.about.reads_texts ? this.#text(id) : image(api.thumbnail(id), ""), h("p", {}, h("b", {}, label), h("span", {}, id)));
      if (aloud) this.status.textContent = `${label}, ${id}`;
      this.#place();
    }
    this.#paint();
  }

  /** The text of an item, when it has come. */
  #text(id) {
    const words = h("p", { class: "words" }, "…");
    api.get(id).then((item) => { words.textContent = textOf(item) ?? ""; this.#place(); }, () => { words.textContent = ""; });
    return words;
  }

  #open(at) {
    if (at >= 0) this.go("search", { item: this.#map.ids[at] });
  }

  #move(left, up) {
    const { width, height } = this.#size;
    const edge = 40;
    const view = this.#view;
    view.left = Math.min(Math.max(view.left + left, edge - this.#map.width * view.scale), width - edge);
    view.up = Math.min(Math.max(view.up + up, edge - this.#map.height * view.scale), height - edge);
    this.#keepInSight();
    this.#place();
    this.#paint();
  }

  /** Moves the map by as little as is needed for an item to be in sight: it never ends on nothing. */
  #keepInSight() {
    const { width, height } = this.#size;
    const at = this.#nearest(width / 2, height / 2, Infinity);
    if (at < 0) return;
    const edge = Math.min(48, width / 4, height / 4);
    const into = (place, length) => Math.min(Math.max(place, edge), length - edge) - place;
    // The nearest one to the middle may be beside the window while another is inside it.
    const inside = (item) => this.#x(item) >= 0 && this.#y(item) >= 0 && this.#x(item) <= width && this.#y(item) <= height;
    if (inside(at)) return;
    for (let item = 0; item < this.#map.ids.length; item++) if (inside(item) && (!this.#marked || this.#marked.has(item))) return;
    this.#view.left += into(this.#x(at), width);
    this.#view.up += into(this.#y(at), height);
  }

  #zoom(factor, x = this.#size.width / 2, y = this.#size.height / 2) {
    if (!this.#map) return;
    const scale = Math.min(Math.max(this.#view.scale * factor, this.#whole.scale), this.#whole.scale * MOST);
    const kept = scale / this.#view.scale;
    this.#view = scale === this.#whole.scale ? { ...this.#whole }
      : { scale, left: x - (x - this.#view.left) * kept, up: y - (y - this.#view.up) * kept };
    // Where there is nowhere to move the map to, a finger scrolls the page.
    this.canvas.style.touchAction = this.#zoomed > 1 ? "none" : "pan-y";
    this.#keepInSight();
    this.#place();
    this.#paint();
  }

  #nearest(x, y, reach) {
    let [best, least] = [-1, reach * reach];
    for (let at = 0; at < (this.#map?.ids.length ?? 0); at++) {
      const [dx, dy] = [this.#x(at) - x, this.#y(at) - y];
      const far = dx * dx + dy * dy;
      if (far < least && (!this.#marked || this.#marked.has(at))) [best, least] = [at, far];
    }
    return best;
  }

  /** The nearest item in a direction; what lies aside counts double. */
  #towards(dx, dy) {
    if (this.#chosen < 0) return this.#nearest(this.#size.width / 2, this.#size.height / 2, Infinity);
    let [best, least] = [this.#chosen, Infinity];
    for (let at = 0; at < this.#map.ids.length; at++) {
      if (this.#marked && !this.#marked.has(at)) continue;
      const [ox, oy] = [this.#x(at) - this.#x(this.#chosen), this.#y(at) - this.#y(this.#chosen)];
      const along = ox * dx + oy * dy;
      const aside = Math.abs(ox * dy - oy * dx);
      if (along > 0.01 && along + aside * 2 < least && aside <= along * 2) [best, least] = [at, along + aside * 2];
    }
    return best;
  }

  #listen() {
    const { canvas } = this;
    const fingers = new Map();
    let travelled = 0;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    canvas.style.touchAction = "pan-y";
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#map) return;
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      travelled = fingers.size > 1 ? Infinity : 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.#map) return;
      const now = at(event);
      const before = fingers.get(event.pointerId);
      if (!before) return this.#choose(this.#nearest(now.x, now.y, 26));
      travelled += Math.hypot(now.x - before.x, now.y - before.y);
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const spread = (finger) => Math.max(Math.hypot(finger.x - other.x, finger.y - other.y), 1);
        this.#move((now.x - before.x) / 2, (now.y - before.y) / 2);
        this.#zoom(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
      } else if (travelled > 4 && this.#zoomed > 1) {
        canvas.classList.add("dragged");
        this.#move(now.x - before.x, now.y - before.y);
      }
      fingers.set(event.pointerId, now);
    });
    const lift = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      canvas.classList.remove("dragged");
      if (event.type !== "pointerup" || travelled > 8) return;
      const now = at(event);
      const item = this.#nearest(now.x, now.y, 32);
      // A finger cannot hover: its first tap shows, the second opens.
      if (event.pointerType === "mouse" || item === this.#chosen) this.#open(item);
      else this.#choose(item, true);
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !fingers.size) this.#choose(-1);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const pointer = at(event);
      this.#zoom(2 ** (-event.deltaY * (event.deltaMode ? 20 : 1) / 240), pointer.x, pointer.y);
    }, { passive: false });
    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !this.#map) return;
      const beside = this.#chosen < 0 ? [] : [this.#x(this.#chosen), this.#y(this.#chosen)];
      if (arrow && event.shiftKey) this.#move(-arrow[0] * 60, -arrow[1] * 60);
      else if (arrow) {
        this.#choose(this.#towards(...arrow), true);
        const [x, y] = [this.#x(this.#chosen), this.#y(this.#chosen)];
        if (x < 0 || y < 0 || x > this.#size.width || y > this.#size.height) this.#move(this.#size.width / 2 - x, this.#size.height / 2 - y);
      }
      else if (event.key === "Enter") this.#open(this.#chosen);
      else if (event.key === "+" || event.key === "=") this.#zoom(1.5, ...beside);
      else if (event.key === "-") this.#zoom(1 / 1.5);
      else if (event.key === "0") this.#zoom(0);
      else if (event.key === "Escape") this.#choose(-1);
      else return;
      event.preventDefault();
    });
  }

  #seek() {
    if (!this.#map) return;
    const words = this.find.value.trim().toLowerCase();
    this.#choose(-1);
    if (!words) {
      this.#marked = null;
      this.found.textContent = "";
      return this.#paint();
    }
    const names = this.#map.classes.map((name) => name.toLowerCase());
    const whole = names.indexOf(words);
    const items = this.#map.ids.flatMap((id, at) => {
      const name = this.#map.class[at];
      const hit = whole >= 0 ? name === whole : (name !== null && names[name].includes(words)) || id.toLowerCase().includes(words);
      return hit ? [at] : [];
    });
    this.#marked = new Set(items);
    this.found.textContent = items.length ? `${count(items.length)} found` : "nothing found";
    const { width, height } = this.#size;
    const inSight = items.some((at) => this.#x(at) > 0 && this.#y(at) > 0 && this.#x(at) < width && this.#y(at) < height);
    if (items.length && !inSight) this.#zoom(0);
    this.#paint();
  }

  /** The legend: the largest classes first, all of them once it is unfolded. */
  #drawKey() {
    const { order, members } = this.#map ?? { order: [], members: new Map() };
    const bySize = [...order].sort((one, other) => members.get(other).length - members.get(one).length || one - other);
    const shown = this.#unfolded ? bySize : bySize.slice(0, KEYS);
    const entries = shown.map((key) => {
      const place = this.#map.rank.get(key);
      const swatch = h("canvas", { width: 24, height: 24, "aria-hidden": "true" });
      const path = new Path2D();
      shape(path, place, 12, 12, 8);
      const brush = swatch.getContext("2d");
      brush.fillStyle = colour(place, order.length, key < 0);
      brush.fill(path);
      const name = this.#name(key);
      return h("button", { type: "button", title: `Show only ${name}`, onclick: () => { this.find.value = this.find.value === name ? "" : name; this.#seek(); } },
        swatch, h("span", {}, name), h("span", { class: "size" }, count(members.get(key).length)));
    });
    if (order.length > KEYS) {
      entries.push(h("button", { type: "button", class: "fold", "aria-expanded": String(this.#unfolded), onclick: () => { this.#unfolded = !this.#unfolded; this.#drawKey(); } },
        this.#unfolded ? "Show fewer" : `Show ${things(order.length - KEYS, "more class", "more classes")}`));
    }
    this.key.replaceChildren(...entries);
    this.key.classList.toggle("unfolded", this.#unfolded);
  }
}
