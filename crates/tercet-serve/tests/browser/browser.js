// A server, a browser, and where pictures of both go.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where a browser is; null on a machine without one, unless one is required (`REQUIRE_BROWSER=1`). */
export function browserPath() {
  const found = CHROMIUM.find((path) => path && existsSync(path));
  if (!found && process.env.REQUIRE_BROWSER) throw new Error("no Chromium: install it, or name it by CHROMIUM");
  if (!found) console.log("SKIPPED: no Chromium here. Install it, or name it by CHROMIUM; REQUIRE_BROWSER=1 makes this an error.");
  return found ?? null;
}

const root = resolve(import.meta.dirname, "../../../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const binary = process.env.TERCET ?? [join(target, "release/tercet"), join(target, "debug/tercet")].find(existsSync);

export const pictures = process.env.SCREENSHOTS ?? join(target, "page");
mkdirSync(pictures, { recursive: true });

export async function launch() {
  const { chromium } = await import("playwright-core");
  return chromium.launch({
    executablePath: browserPath(),
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Runs `tercet` to its end. */
export function run(...args) {
  return new Promise((done, fail) => {
    const command = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"], cwd: tmpdir() });
    let out = "";
    command.stdout.on("data", (data) => { out += data; });
    command.on("exit", (code) => (code === 0 ? done(out) : fail(new Error(`tercet ${args.join(" ")}: ${code}`))));
  });
}

/** Starts `tercet serve`; gives its address and a way to end it. */
export function serve(...args) {
  if (!binary) throw new Error("build tercet first, or name it by TERCET");
  const server = spawn(binary, ["serve", "--port", "0", "--json", "--quiet", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((done, fail) => {
    let out = "";
    const ended = new Promise((told) => server.on("exit", (code) => told(code)));
    server.stdout.on("data", (data) => {
      out += data;
      try {
        const { page } = JSON.parse(out);
        done({ address: page, stop: () => { server.kill("SIGINT"); return ended; } });
      } catch { /* not all of it yet */ }
    });
    ended.then((code) => fail(new Error(`tercet serve ended with ${code}`)));
  });
}
