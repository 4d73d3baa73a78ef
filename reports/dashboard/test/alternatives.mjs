// Design alternatives and scaling, as a reader meets them.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";

import {COUNTEREXAMPLE, HOSTILE_REASON, simulations} from "./fixture.mjs";

const cells = (page, selector) => page.$$eval(selector, (found) => found.map((row) => [...row.children].map((cell) => cell.innerText.replace(/\s+/g, " ").trim())));
const LEAVE = 'tr.choice[data-value="leave"]';

// Draws what is drawn once it is in sight, and answers what the chart of a card shows.
async function drawn(page, workload, kind, number = 0) {
  const card = page.locator(`#scaling .block[data-workload="${workload}"] .card[data-chart="${kind}"]`).nth(number);
  await card.scrollIntoViewIfNeeded();
  await page.waitForFunction((node) => node.dataset.drawn === "1", await card.elementHandle());
  assert.equal(await card.locator("canvas").count(), 1);
  return card.evaluate((node) => {
    const {plot} = [...sluice.charts].find(({holder}) => node.contains(holder));
    const {data, ctx} = plot, {width, height} = ctx.canvas;
    const colors = new Set(new Uint32Array(ctx.getImageData(0, 0, width, height).data.buffer));
    return {data: [...data].map((column) => [...column]), colors: colors.size, legend: node.querySelector(".legend")?.innerText || ""};
  });
}

export const alternativesTests = {
  async "each alternative has its verdict, cost and ratio to the default"(page) {
    assert.deepEqual(await cells(page, '#alternatives-table tbody[data-axis="direct_map"] tr.choice'), [
      ["split default", "\u2713 nothing found in all 287 interleavings, \u2264 2 preemptions", "13,232 ns/page", "1.00\u00d7", "direct_map/tour.ops"],
      ["leave", "\u2717 broken: H2 host.lives 2 operations", "3 of 64 pages arrive", "\u2013", "direct_map/leave.ops"],
      ["unmap", "\u2713 nothing found in the first 5,000 interleavings, \u2264 2 preemptions", "21,232 ns/page", "1.60\u00d7", "direct_map/tour.ops"],
      ["old", "? stale " + HOSTILE_REASON, "13,232 ns/page", "1.00\u00d7", "direct_map/tour.ops"],
      ["new", "not shown", "13,232 ns/page", "1.00\u00d7", ""]]);
    assert.match(await page.innerText('tbody[data-axis="direct_map"] tr.group'), /direct_map\s*about direct_map \u00b7 cost: the way convert, 64 pages/);
    assert.match(await page.innerText("#alternatives-body .toolbar"), /Run on 2026-11-09 02:00 UTC, 3f3f3f3f3f/);
  },

  async "verdicts on a TD stand apart where they differ"(page) {
    const told = await cells(page, '#alternatives-table tbody[data-axis="npf_mismatch"] tr.choice');
    assert.equal(told[0][1], "SNP, TDX\u2713 nothing found in all 287 interleavings, \u2264 2 preemptions");
    assert.equal(told[1][1], "SNP\u2713 nothing found in all 287 interleavings, \u2264 2 preemptions TDX\u2717 broken: H2 host.lives 2 operations");
    assert.equal(told[2][2], "1,390 ns/try");
  },

  async "a counterexample is shown step by step, with the counts beside the default's"(page) {
    assert.equal(await page.locator("#alternatives .counterexample").count(), 0);
    await page.click(LEAVE + " td");
    const block = page.locator("#alternatives .counterexample");
    assert.match(await block.innerText(), /corpora\/alternatives\/direct_map\/leave\.ops\s+H2 host\.lives: The host never writes to an assigned frame\./);
    assert.deepEqual(await cells(page, "#alternatives .counterexample tbody tr"), [
      ["1", COUNTEREXAMPLE.steps[0].operation, "ok"], ["2", COUNTEREXAMPLE.steps[1].operation, COUNTEREXAMPLE.steps[1].answer],
      ["end", "Whoever is parked goes on to the end of its operation."], ["\u2717", COUNTEREXAMPLE.finding]]);
    assert.deepEqual(await cells(page, "#alternatives .counters tbody tr"), [["rmpupdate", "7", "192"], ["tlb_flush", "2", "2"]]);
    assert.match(await page.innerText("#alternatives .facts"), /policy\s+direct_map=leave\s+way\s+convert\s+pages\s+3 of 64 arrived/);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#alternatives .counterexample button")]);
    assert.equal(saved.suggestedFilename(), "direct_map_leave.ops");
    assert.equal(readFileSync(await saved.path(), "utf8"), COUNTEREXAMPLE.text);
    assert.match(await page.evaluate(() => location.hash), /^#open=[0-9a-z]+$/);
    await page.locator(LEAVE).focus();
    await page.keyboard.press("Enter");
    assert.equal(await block.count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.value), "leave");
  },

  async "all counterexamples open at once, and a sound value says how far it was explored"(page) {
    await page.click("#counterexamples");
    assert.equal(await page.locator("#alternatives .counterexample").count(), 2);
    assert.match(await page.innerText('.counterexample[data-flavor="tdx"]'), /^Counterexample, TDX/);
    assert.match(await page.innerText('.sound[data-flavor="plain"]'), /Nothing was found in all 287 interleavings with at most 2 preemptions\./);
    await page.click("#counterexamples");
    assert.equal(await page.locator("#alternatives .detail").count(), 0);
    await page.click('tr.choice[data-value="unmap"] td');
    assert.match(await page.innerText("#alternatives .sound"), /in the first 5,000 interleavings with at most 2 preemptions; after 5,000 it was left/);
  },

  async "speeds and shares of locks are plotted over vCPUs, a curve for each policy"(page) {
    const speed = await drawn(page, "ping_pong", "speed");
    assert.deepEqual(speed.data, [[1, 4, 16], [57537, 152314, 135620], [40000, null, null]]);
    assert.match(speed.legend, /all policies as mainline\s*vmm=<b>kill/);
    assert.ok(speed.colors > 4, `${speed.colors} colors drawn`);
    const locks = await drawn(page, "ping_pong", "locks");
    assert.deepEqual(locks.data, [[1, 4, 16], [0, 0.14, 0.76]]);
    assert.equal(locks.legend, "slots_lock");
    const alone = await drawn(page, "boot_eager", "speed");
    assert.deepEqual(alone.data, [[1, 2], [699989, 1399978], [699989, 1399978]]);  // the last is what would scale
    assert.match(await page.innerText('.block[data-workload="boot_eager"] .card[data-chart="locks"]'), /Nobody waits for a hundredth of the time/);
    assert.match(await page.innerText('.block[data-workload="premap"] h3'), /2 nodes, topology pack:2 <i>core:4 \(4 \+ 4 processors\), placement local/);
  },

  async "the numbers behind the plots have percentiles, and a policy that does not work says so"(page) {
    await page.click('.block[data-workload="ping_pong"] summary');
    const lines = await cells(page, '.block[data-workload="ping_pong"] tbody tr');
    assert.equal(lines.length, simulations().filter((row) => row.workload === "ping_pong").length);
    assert.deepEqual(lines[2], ["all policies as mainline", "16", "135,620", "2.36", "17.38", "17.38", "26.65", "30.00", "31.00", "slots_lock 76%"]);
    assert.deepEqual(lines[4], ["vmm=<b>kill", "16", "12 operations refused: this policy does not let it work"]);
  },
};
