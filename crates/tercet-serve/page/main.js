// The page: which view is shown, and what all views share.

import { Card } from "./card.js";
import { Compare } from "./compare.js";
import { h, things } from "./dom.js";
import { MapView } from "./map.js";
import { Search } from "./search.js";
import { state } from "./state.js";
import { sentence } from "./words.js";

const VIEWS = ["search", "compare", "map", "model"];
const root = (name) => document.getElementById(name);
let views = {};
let current = "search";

/** What the address asks for: `#search?item=…`. */
function address() {
  const [name, query] = location.hash.slice(1).split("?");
  return { name: VIEWS.includes(name) ? name : "search", parameters: new URLSearchParams(query) };
}

/** Goes to a view; `quietly` changes the address only. `given` is handed over. */
function go(name, values, quietly = false, given = null) {
  const query = Object.entries(values).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  const hash = `#${name}${query ? `?${query}` : ""}`;
  if (quietly) {
    history.replaceState(null, "", hash);
    if (name !== current) show(given);
    return;
  }
  if (location.hash !== hash) history.pushState(null, "", hash);
  show(given);
}

function show(given = null) {
  const { name, parameters } = address();
  const moved = name !== current;
  current = name;
  for (const view of VIEWS) root(view).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · ${state.about?.name ?? "Tercet"}`;
  views[name]?.show(parameters, given);
  if (moved) scrollTo(0, 0);
}

function head() {
  const { about } = state;
  root("name").textContent = about.name;
  const facts = [things(about.items, "item"), things(about.classes, "class", "classes"), about.metric];
  if (about.passing) facts.push("temporary: deleted when the server stops");
  if (!about.writable) facts.push("read-only");
  root("facts").textContent = facts.join(" · ");
}

async function begin() {
  try {
    await state.load();
  } catch (error) {
    root("name").textContent = "No gallery";
    root("facts").textContent = "";
    root("search").hidden = false;
    root("search").replaceChildren(h("p", { class: "notice wrong", role: "alert" }, sentence(error.message)),
      h("p", {}, h("button", { type: "button", class: "main", onclick: () => location.reload() }, "Try again")));
    return;
  }
  head();
  state.addEventListener("gallery", head);
  views = {
    search: new Search(root("search"), go),
    compare: new Compare(root("compare"), go),
    map: new MapView(root("map"), go),
    model: new Card(root("model")),
  };
  show();
}

addEventListener("hashchange", () => show());
addEventListener("popstate", () => show());

// A picture that is dropped or pasted anywhere goes where it is wanted.
const taker = () => (current === "compare" ? views.compare : views.search);
addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea") && !event.clipboardData?.files.length) return;
  if (taker()?.paste(event)) event.preventDefault();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (file) taker()?.take(file);
});

begin();
