// The interface of the server, as functions.

/** What the server said no with; its message is for people. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    [this.status, this.code] = [status, code];
  }
}

const PATIENCE = 6;
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

async function ask(address, options = {}) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(address, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(0, "unreachable", "The server does not answer. Is it still running?");
    }
    if (response.ok) return response;
    const told = await response.json().catch(() => null);
    const refusal = new Refusal(response.status, told?.error?.code ?? "unknown", told?.error?.message ?? response.statusText);
    if (response.status === 503 && attempt < PATIENCE) await wait(Number(response.headers.get("retry-after")) || 1);
    else if (response.status === 401 && address !== "/api/session") await enter();
    else throw refusal;
  }
}

let entering = null;
/** Asks for the token until it is right; everybody who waits at the door goes in together. */
function enter() {
  entering ??= knock().finally(() => { entering = null; });
  return entering;
}

async function knock() {
  const dialog = document.getElementById("door");
  const token = document.getElementById("door-token");
  const wrong = document.getElementById("door-wrong");
  for (;;) {
    if (!dialog.open) dialog.showModal();
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
    if (!token.value) continue;
    try {
      const body = JSON.stringify({ token: token.value });
      await ask("/api/session", { method: "POST", headers: { "content-type": "application/json" }, body });
      wrong.hidden = true;
      token.value = "";
      return;
    } catch (refusal) {
      wrong.textContent = refusal.status === 401 ? "That is not it." : refusal.message;
      wrong.hidden = false;
      token.select();
    }
  }
}

const json = async (address, options) => (await ask(address, options)).json();

/** What JSON says of a question: a text `{ text }` or an item `{ id }`. */
const named = ({ text, id }) => (text === undefined ? { id } : { text });

/** A body for a question: a picture `{ file }`, a text `{ text }` or an item `{ id }`. */
const body = ({ file, ...other }) => file
  ? { body: file, headers: { "content-type": file.type || "application/octet-stream" } }
  : { body: JSON.stringify(named(other)), headers: { "content-type": "application/json" } };

const query = (values) => {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
};

const item = (id) => `/api/items/${encodeURIComponent(id)}`;

export const about = () => json("/api/gallery");

export const card = () => json("/api/model").catch((refusal) => {
  if (refusal.status === 404) return null;
  throw refusal;
});

/** How hits of a search are decided in this gallery. */
export const decision = () => json("/api/decision");

export const search = (question, { k, label }, signal) =>
  json(`/api/search${query({ k, label })}`, { method: "POST", signal, ...body(question) });

export function compare(a, b, signal) {
  if (!a.file && !b.file) {
    const text = JSON.stringify({ a: named(a), b: named(b) });
    return json("/api/compare", { method: "POST", signal, body: text, headers: { "content-type": "application/json" } });
  }
  const form = new FormData();
  for (const [name, side] of [["a", a], ["b", b]]) {
    form.append(name, side.file ?? new Blob([JSON.stringify(named(side))], { type: "application/json" }));
  }
  return json("/api/compare", { method: "POST", signal, body: form });
}

/** Adds what was asked about: `{ file }` or `{ text }`. */
export const add = ({ file, text }, { id, label }) =>
  json(`/api/items${query({ id, label })}`, { method: "POST", ...body({ file, text }) });

export const remove = (id) => json(item(id), { method: "DELETE" });

export const get = (id) => json(item(id));

/** Some items from here and there. */
export const sample = async (count) => (await json(`/api/items${query({ sample: count })}`)).items;

/** Items whose class or name contains a text; the best matches first. */
export const find = async (text, limit, signal) => (await json(`/api/items${query({ find: text, limit })}`, { signal })).items;

export const thumbnail = (id) => `${item(id)}/thumbnail`;

/** The map, however long it takes to be made. */
export async function projection(signal) {
  for (;;) {
    const response = await ask("/api/projection", { signal });
    if (response.status !== 202) return response.json();
    await wait(0.6);
    if (signal?.aborted) throw new DOMException("", "AbortError");
  }
}
