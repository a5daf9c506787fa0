// The page of a gallery of sentences.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";

import { browserPath, launch, pictures, run, serve } from "./browser.js";

const ENCODER = resolve(import.meta.dirname, "../../../tercet-onnx/tests/sentences/encoder");
const SENTENCES = `text,label
please play a song,music
play the next song,music
what will the weather be,weather
is it cold today,weather
book a room in the hotel,hotel
i pay my bill,money
`;

describe("the page of sentences", { skip: browserPath() === null }, () => {
  let browser, server, page;
  const wrong = [];

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "tercet-sentences-"));
    const [table, gallery] = [join(folder, "sentences.csv"), join(folder, "sentences.gallery")];
    writeFileSync(table, SENTENCES);
    await run("gallery", "create", gallery, table, "--model", ENCODER, "--quiet");
    [browser, server] = await Promise.all([launch(), serve(gallery)]);
    page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("console", (message) => { if (message.type() === "error") wrong.push(message.text()); });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    assert.deepEqual(wrong, []);
  });

  test("a typed sentence is searched", async () => {
    await page.goto(server.address);
    await page.locator(".sentence textarea").first().fill("please play a song");
    await page.keyboard.press("Enter");
    const results = page.locator(".results li:not(.blank)");
    await results.nth(5).waitFor();
    assert.match(await results.first().innerText(), /please play a song/);
    await page.screenshot({ path: join(pictures, "sentences-search.png") });
  });

  test("two sentences are compared", async () => {
    await page.goto(`${server.address}#compare`);
    const fields = page.locator("section:not([hidden]) .sentence textarea");
    for (const [place, text] of ["play the next song", "is it cold today"].entries()) {
      await fields.nth(place).fill(text);
      await fields.nth(place).press("Enter");
    }
    await page.getByText(/Distance \d/).waitFor();
    await page.screenshot({ path: join(pictures, "sentences-compare.png") });
  });

  test("a picture is refused in words", async () => {
    const page = await browser.newPage();
    await page.goto(server.address);
    const answer = await page.evaluate(async (address) => {
      const asked = { method: "POST", headers: { "content-type": "image/png" }, body: new Uint8Array([1, 2, 3]) };
      const response = await fetch(`${address}api/search`, asked);
      return [response.status, await response.text()];
    }, server.address);
    assert.equal(Math.floor(answer[0] / 100), 4, answer[1]);
    assert.match(answer[1], /text/);
  });
});
