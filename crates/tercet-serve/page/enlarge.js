// A picture as large as the window allows, with what is known about it.

import { h, svg } from "./dom.js";

const dialog = () => document.getElementById("enlarged");

/** Shows a picture in a dialog; a click anywhere or Escape closes it. */
export function enlarge({ source, title, text }) {
  const picture = h("img", { src: source, alt: text, class: "there", draggable: "false" });
  picture.addEventListener("load", () => {
    // Small pictures are enlarged without blurring, by whole factors where these fit.
    const largest = Math.max(picture.naturalWidth, picture.naturalHeight);
    const room = Math.min(innerWidth - 64, innerHeight - 180);
    const factor = largest < room ? Math.max(1, Math.min(8, Math.floor(room / largest))) : room / largest;
    picture.classList.toggle("pixels", factor > 2);
    picture.style.width = `${Math.round(picture.naturalWidth * factor)}px`;
  });
  dialog().replaceChildren(h("figure", {}, picture,
    h("figcaption", {}, title ? h("b", {}, title) : "", h("span", {}, text))),
    h("form", { method: "dialog" }, h("button", { class: "close", "aria-label": "Close" }, "×")));
  dialog().onclick = () => dialog().close();
  dialog().showModal();
}

/** A small button over a picture that enlarges it. */
export function enlarger(picture) {
  return h("button", { type: "button", class: "enlarge", title: "Enlarge", "aria-label": `Enlarge ${picture.text}`,
    onclick: (event) => { event.preventDefault(); event.stopPropagation(); enlarge(picture); } },
    svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: "M9.5 2H14v4.5M14 2L9 7M6.5 14H2V9.5M2 14l5-5" })));
}
