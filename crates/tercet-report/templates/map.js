// The map of the embeddings: pan, zoom, and the item under the pointer or the keys.
for (const map of document.querySelectorAll(".map")) {
  const data = JSON.parse(map.querySelector("script").textContent);
  const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const [xs, ys] = [new Uint16Array(unpack(data.x)), new Uint16Array(unpack(data.y))];
  const [classes, tiles] = [new Uint32Array(unpack(data.class)), new Uint32Array(unpack(data.tile))];
  const count = xs.length;
  const canvas = map.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const tip = map.querySelector(".tip");
  const thumb = tip.querySelector("canvas");
  const sheet = map.querySelector(".sheet");
  const status = map.querySelector("[role=status]");
  const find = map.querySelector("input");
  const found = map.querySelector("output");

  const members = new Map();
  let [right, top] = [0, 0];
  for (let at = 0; at < count; at++) {
    if (!members.has(classes[at])) members.set(classes[at], []);
    members.get(classes[at]).push(at);
    right = Math.max(right, xs[at]);
    top = Math.max(top, ys[at]);
  }
  const order = [...members.keys()].sort((one, other) => one - other);
  const rank = new Map(order.map((name, at) => [name, at]));

  // Few classes share the circle of hues evenly; many go round it by the golden angle, in three
  // lightnesses and five shapes, so that classes next to each other in order look different.
  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches && !matchMedia("print").matches;
  const colour = (name) => {
    const at = rank.get(name);
    const hue = order.length <= 10 ? 255 + at * 360 / order.length : 255 + at * 137.508;
    const light = order.length <= 10 ? (dark() ? 0.76 : 0.55) : (dark() ? [0.76, 0.66, 0.85] : [0.56, 0.45, 0.66])[at % 3];
    return `oklch(${light} 0.14 ${hue % 360})`;
  };
  const shape = (path, at, x, y, r) => {
    switch (at % 5) {
      case 0: path.moveTo(x + r, y); path.arc(x, y, r, 0, 7); break;
      case 1: path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8); break;
      case 2: path.moveTo(x, y - r * 1.25); path.lineTo(x + r * 1.15, y + r * 0.8); path.lineTo(x - r * 1.15, y + r * 0.8); path.closePath(); break;
      case 3: path.moveTo(x, y - r * 1.3); path.lineTo(x + r * 1.3, y); path.lineTo(x, y + r * 1.3); path.lineTo(x - r * 1.3, y); path.closePath(); break;
      default: path.moveTo(x, y + r * 1.25); path.lineTo(x + r * 1.15, y - r * 0.8); path.lineTo(x - r * 1.15, y - r * 0.8); path.closePath();
    }
  };

  // A place on the canvas is the place in the data, turned upright, times `scale`, plus `left` and `up`.
  let [width, height] = [0, 0];
  let view = { scale: 1, left: 0, up: 0 };
  let whole = view;
  const MOST = 60;
  const x = (at) => xs[at] * view.scale + view.left;
  const y = (at) => (top - ys[at]) * view.scale + view.up;
  const fit = () => {
    const scale = Math.min((width - 36) / Math.max(right, 1), (height - 36) / Math.max(top, 1));
    return { scale, left: (width - right * scale) / 2, up: (height - top * scale) / 2 };
  };
  const zoomed = () => view.scale / whole.scale;
  const radius = () => (count < 500 ? 4.2 : count < 3000 ? 3.2 : 2.4) * Math.min(zoomed() ** 0.35, 2.6);

  let chosen = -1;
  let marked = null;
  let waiting = false;
  const paint = () => {
    waiting = false;
    const style = getComputedStyle(map);
    pen.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    pen.clearRect(0, 0, width, height);
    const r = radius();
    // Only a search fades the rest: whoever points at an item still looks at all of them.
    const lit = marked;
    const layers = lit ? [false, true] : [null];
    for (const layer of layers) {
      pen.globalAlpha = layer === false ? 0.2 : 0.85;
      order.forEach((name, at) => {
        const path = new Path2D();
        let any = false;
        for (const item of members.get(name)) {
          if (layer !== null && lit.has(item) !== layer) continue;
          const [px, py] = [x(item), y(item)];
          if (px < -r || py < -r || px > width + r || py > height + r) continue;
          shape(path, at, px, py, r);
          any = true;
        }
        if (!any) return;
        pen.fillStyle = colour(name);
        pen.fill(path);
      });
    }
    pen.globalAlpha = 1;
    if (chosen >= 0) {
      const path = new Path2D();
      for (const item of members.get(classes[chosen])) shape(path, rank.get(classes[chosen]), x(item), y(item), r + 1);
      pen.lineWidth = 1;
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.stroke(path);
      pen.lineWidth = 2;
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.beginPath();
      pen.arc(x(chosen), y(chosen), r + 4, 0, 7);
      pen.stroke();
    }
  };
  const repaint = () => {
    if (!waiting) requestAnimationFrame(paint);
    waiting = true;
  };

  const place = () => {
    if (chosen < 0) return;
    const [px, py] = [x(chosen), y(chosen)];
    const beside = px + 20 + tip.offsetWidth <= width ? px + 20 : px - 20 - tip.offsetWidth;
    tip.style.left = `${Math.min(Math.max(beside, 4), Math.max(width - tip.offsetWidth - 4, 4))}px`;
    tip.style.top = `${Math.min(Math.max(py - tip.offsetHeight / 2, 4), Math.max(height - tip.offsetHeight - 4, 4))}px`;
  };
  const choose = (at, aloud) => {
    if (at === chosen) return;
    chosen = at;
    tip.hidden = at < 0;
    if (at >= 0) {
      const label = data.classes[classes[at]];
      tip.querySelector("b").textContent = label;
      tip.querySelector("span").textContent = data.ids[at];
      const pictured = sheet && data.sheet && tiles[at] !== 0xffffffff && sheet.complete;
      thumb.hidden = !pictured;
      if (pictured) {
        const [tileWidth, tileHeight, columns] = data.sheet;
        [thumb.width, thumb.height] = [tileWidth, tileHeight];
        const [column, row] = [tiles[at] % columns, Math.floor(tiles[at] / columns)];
        thumb.getContext("2d").drawImage(sheet, column * tileWidth, row * tileHeight, tileWidth, tileHeight, 0, 0, tileWidth, tileHeight);
      }
      if (aloud) status.textContent = `${label}, ${data.ids[at]}`;
      place();
    }
    repaint();
  };

  const move = (left, up) => {
    view = { ...view, left: view.left + left, up: view.up + up };
    // Some of the map always stays in sight.
    const edge = 40;
    view.left = Math.min(Math.max(view.left, edge - right * view.scale), width - edge);
    view.up = Math.min(Math.max(view.up, edge - top * view.scale), height - edge);
    place();
    repaint();
  };
  const zoom = (factor, px = width / 2, py = height / 2) => {
    const scale = Math.min(Math.max(view.scale * factor, whole.scale), whole.scale * MOST);
    const kept = scale / view.scale;
    view = scale === whole.scale ? { ...whole }
      : { scale, left: px - (px - view.left) * kept, up: py - (py - view.up) * kept };
    hold();
    // Where there is nowhere to move the map to, a finger scrolls the page.
    canvas.style.touchAction = zoomed() > 1 ? "none" : "pan-y";
    place();
    repaint();
  };
  // A view without any item says nothing: the item nearest to its middle then moves into the middle.
  const hold = () => {
    for (let item = 0; item < count; item++) {
      const [px, py] = [x(item), y(item)];
      if (px >= 0 && py >= 0 && px <= width && py <= height) return;
    }
    const item = nearest(width / 2, height / 2, Infinity);
    if (item >= 0) view = { ...view, left: view.left + width / 2 - x(item), up: view.up + height / 2 - y(item) };
  };
  const showAll = () => zoom(0);

  const nearest = (px, py, reach) => {
    let [best, least] = [-1, reach * reach];
    for (let at = 0; at < count; at++) {
      const [dx, dy] = [x(at) - px, y(at) - py];
      const far = dx * dx + dy * dy;
      if (far < least && (!marked || marked.has(at))) [best, least] = [at, far];
    }
    return best;
  };
  // The nearest item in a direction; what lies aside counts double.
  const towards = (dx, dy) => {
    if (chosen < 0) return nearest(width / 2, height / 2, Infinity);
    let [best, least] = [-1, Infinity];
    for (let at = 0; at < count; at++) {
      if (marked && !marked.has(at)) continue;
      const [ox, oy] = [x(at) - x(chosen), y(at) - y(chosen)];
      const along = ox * dx + oy * dy;
      const aside = Math.abs(ox * dy - oy * dx);
      if (along > 0.01 && along + aside * 2 < least && aside <= along * 2) [best, least] = [at, along + aside * 2];
    }
    return best < 0 ? chosen : best;
  };

  const fingers = new Map();
  let travelled = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    travelled = fingers.size > 1 ? Infinity : 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      choose(nearest(now.x, now.y, 24));
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const spread = (finger) => Math.max(Math.hypot(finger.x - other.x, finger.y - other.y), 1);
      move((now.x - before.x) / 2, (now.y - before.y) / 2);
      zoom(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else if (travelled > 4 && zoomed() > 1) {
      canvas.classList.add("dragged");
      move(now.x - before.x, now.y - before.y);
    }
    fingers.set(event.pointerId, now);
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    canvas.classList.remove("dragged");
    const now = at(event);
    if (event.type === "pointerup" && travelled <= 8) choose(nearest(now.x, now.y, 32), true);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && !fingers.size) choose(-1);
  });
  canvas.addEventListener("wheel", (event) => {
    // Otherwise the wheel scrolls the page.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const pointer = at(event);
    zoom(2 ** (-event.deltaY * (event.deltaMode ? 20 : 1) / 240), pointer.x, pointer.y);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    const pointer = at(event);
    zoom(2.5, pointer.x, pointer.y);
  });
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && event.shiftKey) move(-arrow[0] * 60, -arrow[1] * 60);
    else if (arrow) {
      choose(towards(...arrow), true);
      const [px, py] = [x(chosen), y(chosen)];
      if (px < 0 || py < 0 || px > width || py > height) move(width / 2 - px, height / 2 - py);
    }
    else if (event.key === "+" || event.key === "=") zoom(1.5, ...(chosen < 0 ? [] : [x(chosen), y(chosen)]));
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") showAll();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });
  map.querySelector(".buttons").addEventListener("click", (event) => {
    const kind = event.target.dataset.zoom;
    if (kind === "in") zoom(1.6);
    if (kind === "out") zoom(1 / 1.6);
    if (kind === "all") showAll();
  });

  const mark = (items, text) => {
    marked = items;
    found.textContent = text;
    repaint();
  };
  find.addEventListener("input", () => {
    const words = find.value.trim().toLowerCase();
    choose(-1);
    if (!words) return mark(null, "");
    const whole = data.classes.findIndex((name) => name.toLowerCase() === words);
    const items = [];
    for (let item = 0; item < count; item++) {
      const label = data.classes[classes[item]].toLowerCase();
      const hit = whole >= 0 ? classes[item] === whole : label.includes(words) || data.ids[item].toLowerCase().includes(words);
      if (hit) items.push(item);
    }
    mark(new Set(items), items.length ? `${items.length} found` : "nothing found");
  });
  map.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

  // A key of the classes while they are few enough to be read.
  const key = map.querySelector(".key");
  const drawKey = () => {
    if (order.length > 24) return;
    key.replaceChildren(...order.map((name, at) => {
      const entry = document.createElement("button");
      const path = new Path2D();
      const swatch = document.createElement("canvas");
      [swatch.width, swatch.height] = [24, 24];
      shape(path, at, 12, 12, 8);
      const brush = swatch.getContext("2d");
      brush.fillStyle = colour(name);
      brush.fill(path);
      entry.type = "button";
      entry.append(swatch, data.classes[name]);
      entry.addEventListener("click", () => {
        find.value = find.value === data.classes[name] ? "" : data.classes[name];
        find.dispatchEvent(new Event("input"));
      });
      return entry;
    }));
  };

  const measure = () => {
    const box = canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const [before, middle] = [whole, { x: (width / 2 - view.left) / view.scale, y: (height / 2 - view.up) / view.scale }];
    const kept = width ? view.scale / before.scale : 1;
    [width, height] = [box.width, box.height];
    [canvas.width, canvas.height] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
    whole = fit();
    const scale = whole.scale * kept;
    view = kept === 1 ? { ...whole } : { scale, left: width / 2 - middle.x * scale, up: height / 2 - middle.y * scale };
    place();
    paint();
  };
  new ResizeObserver(measure).observe(canvas);
  canvas.style.touchAction = "pan-y";
  drawKey();
  const recolour = () => { drawKey(); paint(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  matchMedia("print").addEventListener("change", recolour);
}
