// The page as people use it. `npm install && npm test`, with Chromium and a built `tercet`.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { browserPath, launch, pictures, run, serve } from "./browser.js";

const skip = browserPath() === null;
const DESKTOP = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };

describe("the page", { skip }, () => {
  let browser, server, context, page;
  let items, picture, file, other;
  const wrong = [];

  /** A page whose every complaint is a failure, and that asks nobody else. */
  async function open(options = {}, address = server.address) {
    const own = await browser.newContext({ viewport: DESKTOP, ...options });
    const opened = await own.newPage();
    opened.on("console", (message) => {
      // A refused request is told by the browser too.
      if (message.type() === "error" && !/Failed to load resource/.test(message.text())) wrong.push(message.text());
    });
    opened.on("pageerror", (error) => wrong.push(String(error)));
    opened.on("request", (request) => {
      if (!request.url().startsWith(address) && !/^(blob|data):/.test(request.url())) wrong.push(`asked ${request.url()}`);
    });
    return [own, opened];
  }

  /** A view as whoever follows a link finds it. */
  const go = async (hash) => {
    await page.goto("about:blank");
    await page.goto(`${server.address}${hash}`);
    await page.locator("#name").filter({ hasText: "glyphs" }).waitFor();
  };
  const results = () => page.locator(".results li:not(.blank)");
  const upload = (root, path) => page.locator(`${root} input[type=file]`).setInputFiles(path);
  const shot = (name, of = page) => of.screenshot({ path: join(pictures, `${name}.png`) });
  /** Pictures are there and nothing moves any more. */
  const settled = async (of = page) => {
    await of.waitForFunction(() => [...document.querySelectorAll("main section:not([hidden]) img")].every((image) => image.complete && image.classList.contains("there")));
    await of.waitForTimeout(250);
  };

  before(async () => {
    [browser, server] = await Promise.all([launch(), serve()]);
    ({ items } = await (await fetch(`${server.address}api/items?limit=1000`)).json());
    const search = async (id, k) => {
      const asked = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id }) };
      return (await (await fetch(`${server.address}api/search?k=${k}`, asked)).json()).hits;
    };
    // The first item is one that is certainly found: several hits are the same, and not all of them.
    for (const [at, item] of items.entries()) {
      const hits = (await search(item.id, 24)).filter((hit) => hit.same);
      if (hits.length > 7 && hits.every((hit) => hit.label === item.label)) {
        items.unshift(...items.splice(at, 1));
        break;
      }
    }
    picture = Buffer.from(await (await fetch(`${server.address}api/items/${encodeURIComponent(items[0].id)}/thumbnail`)).arrayBuffer());
    // The nearest item that is different as a pair: the threshold of pairs is less strict than that of a search.
    const { threshold } = await (await fetch(`${server.address}api/model`)).json();
    other = (await search(items[0].id, 1000)).find((hit) => hit.label !== items[0].label && hit.distance > threshold);
    const folder = mkdtempSync(join(tmpdir(), "page-"));
    file = (name, content) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    [context, page] = await open();
  });

  after(async () => {
    await context?.close();
    await browser?.close();
    assert.equal(await server?.stop(), 130, "Ctrl-C ends it in order");
    assert.deepEqual(wrong, []);
  });

  test("starts with something to start from", async () => {
    await go("");
    await page.locator(".samples img.there").nth(17).waitFor();
    await settled();
    await shot("start");
    await page.locator(".samples a").first().click();
    await results().nth(23).waitFor();
    assert.match(page.url(), /#search\?item=/);
  });

  test("finds the class of an uploaded picture", async () => {
    await go("#search");
    await upload("#search", file("found.png", picture));
    await results().nth(23).waitFor();
    assert.equal(await results().first().locator(".label").textContent(), items[0].label);
    assert.match(await page.locator(".summary").textContent(), /of the 24 nearest items? (is|are) the same/);
    assert.ok(await page.locator(".results .same").count() > 5);
    await settled();
    await shot("search");
    await page.locator(".fields input").fill(items[0].label);
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll(".results li").length === 21);
  });

  test("shows the results before the threshold, and what its marks mean", async () => {
    await go(`#search?item=${encodeURIComponent(items[0].id)}`);
    await results().nth(23).waitFor();
    const top = (selector) => page.locator(selector).evaluate((element) => element.getBoundingClientRect().top);
    assert.ok(await top("#search .summary") < await top("#search .results"));
    assert.ok(await top("#search .results") < await top("#search .instrument"));
    assert.match(await page.locator(".found > .legend").textContent(), /the same.*not the same.*distance and probability/);
    assert.match(await page.locator("#search .presets").textContent(), /false matches:/);
    // Pointing at a result fades nothing.
    const opacities = () => page.locator(".results img").evaluateAll((images) => images.map((image) => getComputedStyle(image).opacity));
    await settled();
    await results().nth(5).hover();
    assert.ok((await opacities()).every((opacity) => opacity === "1"));
  });

  test("finds an item by its class or name", async () => {
    await go("#search");
    const field = page.locator("#search .picker input");
    await field.fill(items[30].label);
    await page.locator("#search .options li").first().waitFor();
    assert.match(await page.locator("#search .options li").first().textContent(), new RegExp(items[30].label));
    await shot("picker");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator("#search .options [aria-selected=true]").count(), 1);
    await page.keyboard.press("Enter");
    await results().nth(23).waitFor();
    assert.match(await page.locator("#search .place .name").textContent(), new RegExp(items[30].label));
    await field.fill("no such item anywhere");
    await page.locator("#search .options .none").waitFor();
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("#search .options").isVisible(), false);
    await page.locator("#search .picker button", { hasText: "Random item" }).click();
    await results().nth(23).waitFor();
    await go("#compare");
    for (const side of [0, 1]) {
      await page.locator("#compare .picker input").nth(side).fill(items[side * 40].id);
      await page.locator("#compare .options").nth(side).locator("li").first().waitFor();
      await page.keyboard.press("Enter");
      await page.locator("#compare .place .name").nth(side).filter({ hasText: items[side * 40].id }).waitFor();
    }
    await page.locator(".answer .verdict", { hasText: /The same|Different/ }).waitFor();
  });

  test("enlarges pictures", async () => {
    await go(`#search?item=${encodeURIComponent(items[0].id)}`);
    await results().nth(23).waitFor();
    await settled();
    await results().nth(3).hover();
    await results().nth(3).locator(".enlarge").click();
    const large = page.locator("#enlarged[open] img");
    await large.waitFor();
    await page.waitForFunction(() => document.querySelector("#enlarged img").clientWidth > 150);
    assert.ok((await page.locator("#enlarged figcaption").textContent()).length > 3);
    await shot("enlarged");
    await page.keyboard.press("Escape");
    await large.waitFor({ state: "hidden" });
    assert.match(page.url(), /#search/);
    await page.locator("#search .stage").hover();
    await page.locator("#search .stage .enlarge").click();
    await large.waitFor();
    await page.locator("#enlarged .close").click();
    await large.waitFor({ state: "hidden" });
  });

  test("takes a picture that is pasted or dropped", async () => {
    for (const kind of ["paste", "drop"]) {
      await go("#search");
      await page.evaluate(([kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
        const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }) : new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
        document.body.dispatchEvent(event);
      }, [kind, [...picture]]);
      await results().nth(23).waitFor();
      assert.equal(await results().first().locator(".label").textContent(), items[0].label);
    }
  });

  test("moves the threshold, and what is the same with it", async () => {
    await go(`#search?item=${encodeURIComponent(items[0].id)}`);
    await results().nth(23).waitFor();
    const same = () => page.locator(".results .same").count();
    const usual = await same();
    await page.locator("#search .presets button", { hasText: "1 in 1,000" }).click();
    const strict = await same();
    assert.ok(strict < usual, `${strict} < ${usual}`);
    await settled();
    await shot("threshold");
    const slider = page.locator("#search input[type=range]");
    const told = await slider.getAttribute("aria-valuetext");
    assert.match(told, /distance [\d.]+, probability/);
    await slider.focus();
    await page.keyboard.press("Home");
    assert.equal(await same(), 0);
    assert.match(await page.locator(".summary").textContent(), /^Not similar to anything in the gallery/);
    await page.keyboard.press("End");
    assert.equal(await same(), 24);
    assert.match(await page.locator(".summary").textContent(), /^All/);
  });

  test("is walked by keyboard", async () => {
    await go(`#search?item=${encodeURIComponent(items[0].id)}`);
    await results().nth(23).waitFor();
    await page.locator(".results a").first().focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowLeft");
    const at = await page.evaluate(() => [...document.querySelectorAll(".results a")].indexOf(document.activeElement));
    assert.ok(at > 3, `at ${at}`);
    assert.equal(await page.locator(".rug .pointed").count(), 1);
    const id = await page.locator(".results a").nth(at).getAttribute("title");
    await page.keyboard.press("Enter");
    await page.waitForFunction((id) => document.querySelector("#search .place .name span")?.textContent === id, id);
    await page.goBack();
    await page.waitForFunction((id) => document.querySelector("#search .place .name span")?.textContent === id, items[0].id);
    // Tab reaches the views, and one sees where one is.
    await go("");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  });

  test("adds a picture, takes it back, and removes an item", async () => {
    await go("#search");
    await upload("#search", file("mine.png", picture));
    await results().nth(23).waitFor();
    await page.locator("summary").click();
    await page.locator(".adding input").first().fill("mine");
    await settled();
    await shot("add");
    await page.locator(".adding button").click();
    await page.locator(".toast").waitFor();
    await page.locator("header .facts", { hasText: "2,101 items" }).waitFor();
    assert.match(await page.locator("#search .place .name").textContent(), /mine.*mine\.png/);
    await shot("added");
    await page.locator(".toast button", { hasText: "Undo" }).click();
    await page.locator("header .facts", { hasText: "2,100 items" }).waitFor();

    await upload("#search", file("other.png", picture));
    await results().nth(23).waitFor();
    await page.locator("summary").click();
    await page.locator(".adding button").click();
    await page.locator("header .facts", { hasText: "2,101 items" }).waitFor();
    await page.locator(".actions button", { hasText: "Remove" }).click();
    await shot("sure");
    await page.locator("#sure button", { hasText: "Keep" }).click();
    await page.locator(".actions button", { hasText: "Remove" }).click();
    await page.locator("#sure .danger").click();
    await page.locator("header .facts", { hasText: "2,100 items" }).waitFor();
  });

  test("compares two pictures", async () => {
    await go("#compare");
    await shot("compare-empty");
    const same = items.find((item, at) => at > 0 && item.label === items[0].label);
    await page.locator(".side input[type=file]").nth(0).setInputFiles(file("one.png", picture));
    const second = await (await fetch(`${server.address}api/items/${encodeURIComponent(same.id)}/thumbnail`)).arrayBuffer();
    await page.locator(".side input[type=file]").nth(1).setInputFiles(file("two.png", Buffer.from(second)));
    await page.locator(".answer .verdict", { hasText: "The same" }).waitFor();
    assert.match(await page.locator(".answer .detail").textContent(), /Probability that they are the same: /);
    // The answer is read before the number.
    const order = await page.locator(".answer p").evaluateAll((lines) => lines.map((line) => line.className));
    assert.deepEqual(order, ["verdict", "detail", "number"]);
    assert.match(await page.locator(".answer .number").textContent(), /^Distance [\d.]+, threshold [\d.]+$/);
    await settled();
    await shot("compare-same");
    await go(`#compare?a=${encodeURIComponent(items[0].id)}&b=${encodeURIComponent(other.id)}`);
    await page.locator(".answer .verdict", { hasText: "Different" }).waitFor();
    await settled();
    await shot("compare-different");
    await page.locator("#compare input[type=range]").focus();
    await page.keyboard.press("End");
    await page.locator(".answer .verdict", { hasText: "The same" }).waitFor();
  });

  test("wanders on the map", async () => {
    await go("#map");
    await page.locator(".over").waitFor({ state: "hidden", timeout: 120_000 });
    assert.match(await page.locator("#map .caption").textContent(), /2,100 items of 100 classes/);
    await page.waitForTimeout(200);
    await shot("map");
    const canvas = page.locator("#map .frame > canvas");
    await canvas.focus();
    await page.keyboard.press("ArrowRight");
    await page.locator(".tip img.there").waitFor();
    const first = await page.locator(".tip span").last().textContent();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((first) => [...document.querySelectorAll(".tip span")].at(-1).textContent !== first, first);
    // Pointing at an item makes nothing fade: no mark is lighter than before.
    const ink = () => canvas.evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((value, at) => at % 4 === 3).reduce((sum, alpha) => sum + alpha, 0));
    await page.keyboard.press("Escape");
    await page.waitForTimeout(150);
    const before = await ink();
    await page.keyboard.press("ArrowRight");
    await page.waitForTimeout(150);
    assert.ok(await ink() >= before, "hovering fades nothing");
    assert.equal(await page.locator("#map .key button").count(), 25, "a legend, to be unfolded");
    await page.locator("#map .key .fold").click();
    assert.equal(await page.locator("#map .key button").count(), 101);
    await page.locator("#map .key .fold").click();
    await canvas.focus();
    for (let i = 0; i < 6; i++) await page.keyboard.press("+");
    await page.waitForTimeout(700);
    await shot("map-near");
    const id = await page.locator(".tip span").last().textContent();
    await page.keyboard.press("Enter");
    await results().nth(23).waitFor();
    assert.equal(await page.locator("#search .place .name span").textContent(), id);

    await page.locator(".actions a", { hasText: "On the map" }).click();
    await page.locator(".tip").waitFor();
    assert.equal(await page.locator(".tip span").last().textContent(), id);
    await page.locator("#map input").fill(items[0].label);
    await page.locator("#map output", { hasText: "21 found" }).waitFor();
    await page.waitForTimeout(200);
    await shot("map-found");
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.wheel(0, -600);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + 80, box.y + box.height / 2 + 40, { steps: 4 });
    await page.mouse.up();
    assert.match(page.url(), /#map/, "a drag is no click");
    // Wherever one zooms in, there is something to see.
    await page.locator("#map input").fill("");
    for (const [x, y] of [[0.02, 0.02], [0.98, 0.5], [0.5, 0.98], [0.3, 0.02]]) {
      await page.locator("#map .tools button", { hasText: "All" }).click();
      await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
      for (let i = 0; i < 8; i++) await page.mouse.wheel(0, -400);
      await page.mouse.move(box.x + 1, box.y - 30);
      await page.waitForTimeout(400);
      assert.ok(await ink() > 1000, `zoomed in at ${x}, ${y}`);
    }
  });

  test("shows the model's card", async () => {
    await go("#model");
    await page.locator(".headlines section").nth(2).waitFor();
    assert.match(await page.locator("#model .lead").textContent(), /evaluated on 100 classes that were not used for training/);
    await shot("model");
    await page.locator("#model table button").last().click();
    assert.match(page.url(), /#search/);
  });

  test("says what is wrong, and goes on", async () => {
    await go("#search");
    await upload("#search", file("text.txt", "no picture"));
    await page.locator(".place .wrong", { hasText: "not a picture" }).waitFor();
    await upload("#search", file("broken.png", picture.subarray(0, picture.length / 2)));
    await page.locator(".summary.wrong").waitFor();
    await shot("error");
    await upload("#search", file("bomb.png", Buffer.alloc(17 << 20)));
    await page.locator(".place .wrong", { hasText: "larger than the 16 MiB" }).waitFor();
    await go("#search?item=nobody");
    await page.locator(".summary.wrong", { hasText: "holds no" }).waitFor();
    await page.route("**/api/search**", (route) => route.abort());
    await upload("#search", file("sound.png", picture));
    await page.locator(".summary.wrong", { hasText: "does not answer" }).waitFor();
    await page.unroute("**/api/search**");
    // Busy is waited for.
    let times = 0;
    await page.route("**/api/search**", (route) => (times++ ? route.continue() : route.fulfill({ status: 503, headers: { "retry-after": "1" }, body: "{}" })));
    await upload("#search", file("patient.png", picture));
    await results().nth(23).waitFor();
    assert.equal(times, 2);
    await page.unroute("**/api/search**");
  });

  test("shows a map while the gallery changes", async () => {
    await go("#map");
    await page.locator(".over").waitFor({ state: "hidden", timeout: 120_000 });
    const [added] = await Promise.all([fetch(`${server.address}api/items?id=while-drawn`, { method: "POST", headers: { "content-type": "image/png" }, body: picture })]);
    assert.equal(added.status, 201);
    await go("#map");
    await page.locator("#map .caption", { hasText: "a new map is being drawn" }).waitFor();
    assert.equal(await page.locator("#map .over").isVisible(), false);
    await page.locator("#map .caption", { hasText: /^2,101 items/ }).waitFor({ timeout: 180_000 });
    const removed = await fetch(`${server.address}api/items/while-drawn`, { method: "DELETE" });
    assert.equal(removed.status, 200);
  });

  test("asks for the token", async () => {
    const locked = await serve("--token", "open-sesame");
    const [own, visitor] = await open({}, locked.address);
    try {
      await visitor.goto(locked.address);
      await visitor.locator("#door[open]").waitFor();
      await visitor.locator("#door-token").fill("guess");
      await visitor.keyboard.press("Enter");
      await visitor.locator("#door-wrong", { hasText: "not it" }).waitFor();
      await visitor.screenshot({ path: join(pictures, "locked.png") });
      await visitor.locator("#door-token").fill("open-sesame");
      await visitor.keyboard.press("Enter");
      await visitor.locator(".samples img.there").nth(17).waitFor();
    } finally {
      await own.close();
      assert.equal(await locked.stop(), 130);
    }
  });

  test("serves a gallery without its model", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vectors-"));
    // 12 vectors of two numbers, as .npy of version 1.
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 2), }".padEnd(117) + "\n";
    const numbers = Float32Array.from({ length: 24 }, (_, at) => Math.sin(at * at));
    const npy = Buffer.concat([Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]), Buffer.from(header), Buffer.from(numbers.buffer)]);
    writeFileSync(join(folder, "vectors.npy"), npy);
    writeFileSync(join(folder, "labels.txt"), Array.from({ length: 12 }, (_, at) => `class ${at % 3}`).join("\n"));
    await run("gallery", "create", join(folder, "gallery"), join(folder, "vectors.npy"), "--labels", join(folder, "labels.txt"));
    const bare = await serve(join(folder, "gallery"));
    const [own, visitor] = await open({}, bare.address);
    try {
      await visitor.goto(bare.address);
      // Without pictures, class and id stand in their place.
      await visitor.locator(".samples .nothing b", { hasText: "class" }).first().waitFor();
      await visitor.locator(".samples a").first().click();
      await visitor.locator(".results li:not(.blank)").nth(10).waitFor();
      await visitor.locator(".results .nothing").nth(10).waitFor();
      assert.match(await visitor.locator(".results .nothing").first().textContent(), /^class \d\d+$/);
      assert.equal(await visitor.locator("#search .instrument").isVisible(), false);
      await visitor.screenshot({ path: join(pictures, "no-model.png") });
      await visitor.locator("#search .frame").click();
      await visitor.locator(".place .wrong", { hasText: "served without its model" }).waitFor();
      await visitor.goto(`${bare.address}#model`);
      await visitor.locator("#model .notice", { hasText: "--model" }).waitFor();
      await visitor.goto(`${bare.address}#map`);
      await visitor.locator("#map .key button").nth(2).waitFor();
      await visitor.screenshot({ path: join(pictures, "no-model-map.png") });
    } finally {
      await own.close();
      await bare.stop();
    }
  });

  for (const [name, options] of [
    ["dark", { colorScheme: "dark" }],
    ["phone", { viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }],
    ["phone-dark", { viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2, colorScheme: "dark" }],
  ]) {
    test(`fits ${name}`, async () => {
      const [own, visitor] = await open(options);
      try {
        for (const [view, hash, ready] of [
          ["start", "", ".samples img.there"],
          ["search", `#search?item=${encodeURIComponent(items[0].id)}`, ".results li:not(.blank) img.there"],
          ["compare", `#compare?a=${encodeURIComponent(items[0].id)}&b=${encodeURIComponent(other.id)}`, ".answer.different"],
          ["map", "#map", "#map .caption:not(:empty)"],
          ["model", "#model", ".headlines section"],
        ]) {
          await visitor.goto("about:blank");
          await visitor.goto(`${server.address}${hash}`);
          await visitor.locator(ready).first().waitFor({ timeout: 120_000 });
          await settled(visitor);
          await visitor.screenshot({ path: join(pictures, `${name}-${view}.png`), fullPage: name !== "dark" });
          const over = await visitor.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${view} is ${over} px too wide`);
        }
      } finally {
        await own.close();
      }
    });
  }
});
