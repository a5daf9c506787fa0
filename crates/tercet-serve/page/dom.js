// Elements, numbers and words.

/** An element; `on…` are listeners, `data` its data attributes, true and false switch attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same for a drawing. */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en");

/** 10500 as 10,500. */
export const count = (number) => whole.format(number);

/** "1 item", "2 items", "3 classes". */
export const things = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A distance with three or four digits that say something. */
export function distance(number) {
  if (!Number.isFinite(number)) return "–";
  return number.toFixed(number >= 100 ? 0 : number >= 10 ? 1 : number >= 1 ? 2 : 3);
}

/** A probability; never 0 or 100 %, which nobody can promise. */
export function percent(probability) {
  const value = probability * 100;
  if (value < 0.1) return "<\u00a00.1\u00a0%";
  if (value > 99.9) return ">\u00a099.9\u00a0%";
  return `${value < 1 || value > 99 ? value.toFixed(1) : Math.round(value)}\u00a0%`;
}

/** A bytes count for people. */
export const bytes = (number) => `${Math.round(number / (1 << 20))} MiB`;

/** Says something in the corner, with something to do about it. */
export function toast(text, action) {
  const note = h("div", { class: "toast" }, h("span", {}, text));
  const close = () => note.remove();
  if (action) note.append(h("button", { type: "button", onclick: () => { close(); action.run(); } }, action.name));
  note.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: close }, "×"));
  document.getElementById("toasts").append(note);
  setTimeout(close, action ? 9000 : 5000);
}

/** Asks before something is lost. */
export function sure(title, text) {
  const dialog = document.getElementById("sure");
  document.getElementById("sure-title").textContent = title;
  document.getElementById("sure-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
