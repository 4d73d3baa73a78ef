// The dashboard in a real browser: a site is made from rows whose every number is known, opened from disk, read and used.
// Usage: node dashboard.mjs MAKE_SITE_PROGRAM WORK_DIR.  Exit status: 0 passed, 1 failed, 77 skipped (reason printed).
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {mkdirSync, readFileSync, rmSync, statSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {argv, exit} from "node:process";

import {alternativesTests} from "./alternatives.mjs";
import {findChromium, findDriver, openPage} from "./browser.mjs";
import {BREAK_AT, HOSTILE_NAME, HOSTILE_REASON, HOST_A, HOST_B, RUNS_A, alternatives, manyRows, rows, simulations, text} from "./fixture.mjs";

const [, , makeSite, workDir] = argv;
const M1 = 'tr.result:has(.badge.target:text-is("M1"))';

function site(name, list) {
  const folder = join(workDir, name);
  rmSync(folder, {recursive: true, force: true});
  mkdirSync(folder, {recursive: true});
  writeFileSync(join(folder, "in.jsonl"), text(list));
  execFileSync(makeSite, [join(folder, "site"), "Fixture <i>site</i>", join(folder, "in.jsonl")], {stdio: ["ignore", "ignore", "inherit"]});
  return join(folder, "site");
}

const column = (page, index) => page.$$eval("#table tbody tr.result", (found, at) => found.map((row) => row.children[at].innerText), index);
const names = (page) => page.$$eval("#table tr.result td.name code", (found) => found.map((node) => node.textContent));
const hash = (page) => page.evaluate(() => location.hash);
const tile = (page, label) => page.innerText(`.tile[data-tile="${label}"] strong`);

const tests = {
  async "the header names title, date, commit, host and kernel"(page) {
    assert.equal(await page.innerText("#title"), "Fixture <i>site</i>");
    const subtitle = await page.innerText("#subtitle");
    for (const part of ["2026-11-09 02:00 UTC", "3f3f3f3f3f", "Intel Xeon 8375C", "Linux 6.18.52", "shadow paging"]) {
      assert.ok(subtitle.includes(part), `${part} in ${subtitle}`);
    }
  },

  async "totals are those of the host's newest rows"(page) {
    assert.equal(await tile(page, "Targets met"), "5 of 8");
    assert.equal(await tile(page, "Benchmarks"), "19");
    assert.equal(await tile(page, "Fuzz findings"), "1");
    assert.equal(await tile(page, "Mismatches"), "0");
    assert.equal(await tile(page, "Skipped"), "6");
  },

  async "the numbers of a row are those of its JSON"(page) {
    const cells = await page.$$eval(`${M1} > td`, (found) => found.map((cell) => cell.innerText.replace(/\s+/g, " ").trim()));
    assert.match(cells[0], /^model\/rmpupdate\/4K\/sequential ?M1 pages=262144 page_size=4K threads=1/);
    assert.equal(cells[1], "1.834 ns/page");
    assert.equal(cells[2], "0.8%");
    assert.equal(cells[3], "2.219");
    assert.equal(cells[4], "0.262");
    assert.equal(cells[5], "7.00\u00d7");
    assert.equal(cells[6], "\u2713 met \u2264 8\u00d7");
  },

  async "a skipped row shows its reason and no number"(page) {
    const row = page.locator('tr.result:has-text("kvm/pre_fault/4K")');
    assert.match(await row.innerText(), /skipped KVM_CAP_PRE_FAULT_MEMORY=0/);
    assert.equal(await row.locator("td.number").count(), 0);
    assert.equal(await row.locator("svg path").count(), 0);
  },

  async "labels are shown"(page) {
    for (const [name, label] of [["model/premap/gmem_2M", "ahead of mainline"], ["model/simulate/convert/256", "simulated"]]) {
      assert.equal(await page.innerText(`tr.result:has-text("${name}") .badge.label`), label);
    }
    assert.equal(await page.locator('tr.result .badge.label:text-is("smoke")').count(), 1);
  },

  async "rows are grouped by backend"(page) {
    assert.deepEqual(await page.$$eval("#table tr.group th", (found) => found.map((node) => node.textContent)), ["kvm9", "model13"]);
    await page.selectOption("#group", "none");
    assert.equal(await page.locator("#table tr.group").count(), 0);
    assert.match(await hash(page), /group=none/);
  },

  async "sorting orders numbers and leaves skipped rows last"(page) {
    await page.selectOption("#group", "none");
    await page.click('[data-sort="median"]');
    const down = (await column(page, 1)).map((cell) => parseFloat(cell.replace(/,/g, "")));
    const measured = down.filter((value) => !Number.isNaN(value));
    assert.ok(measured.length === 19 && down.slice(0, 19).every((value) => !Number.isNaN(value)));
    assert.deepEqual(measured, measured.slice().sort((a, b) => b - a));
    await page.click('[data-sort="median"]');
    const up = (await column(page, 1)).slice(0, 19).map((cell) => parseFloat(cell.replace(/,/g, "")));
    assert.deepEqual(up, measured.slice().reverse());
    assert.match(await hash(page), /sort=median/);
    assert.equal(await page.getAttribute('th:has([data-sort="median"])', "aria-sort"), "ascending");
  },

  async "search and the filters narrow the table, and the hash says so"(page) {
    await page.fill("#search", "RMPUPDATE random");
    assert.deepEqual(await names(page), ["model/rmpupdate/4K/random"]);
    assert.match(await hash(page), /q=RMPUPDATE\+random/);
    await page.fill("#search", "");
    await page.check("#missed");
    assert.deepEqual(await names(page), ["kvm/memslot_add_delete", "model/convert/1GiB/4K"]);
    assert.equal(await page.innerText("#shown"), "2 of 42");
    await page.uncheck("#missed");
    await page.check("#nosmoke");
    assert.equal(await page.locator('.badge.label:text-is("smoke")').count(), 0);
    await page.fill("#search", "no such thing");
    assert.match(await page.innerText("#table"), /No benchmark matches/);
  },

  async "a row opens to its history, facts and counters"(page) {
    await page.click(`${M1} td.name`);
    const detail = page.locator("tr.detail");
    assert.equal(await detail.locator(".uplot").count(), 2);
    assert.match(await detail.locator(".counters").innerText(), /instructions\s+not available: no hardware counters on this host \(ENOENT\)/);
    assert.match(await detail.locator(".counters").innerText(), /page_faults\s+0/);
    assert.match(await detail.locator(".facts").innerText(), /wall time\s+1\.852 \u00b1/);
    assert.match(await hash(page), /open=[0-9a-z]+$/);
    await page.click(`${M1} td.name`);
    assert.equal(await detail.count(), 0);
    assert.equal(await hash(page), "");
  },

  async "hosts never share a line, and a changed fingerprint breaks it"(page) {
    const lines = await page.evaluate(() => sluice.data.lines.filter((line) => line.target === "M1").map((line) => ({
      host: sluice.data.hosts[line.host].id, count: line.runs.length, breaks: [...line.breaks], drawn: chartData(line, "main").columns[1]})));
    assert.deepEqual(lines.map(({host, count}) => [host, count]), [[HOST_A, RUNS_A], [HOST_B, 10]]);
    assert.equal(lines[0].breaks.length, 1);
    assert.equal(lines[0].breaks[0][0], BREAK_AT);
    assert.match(lines[0].breaks[0][1][0], /kernel: 6\.18\.44 -> 6\.18\.52/);
    assert.equal(lines[0].drawn.length, RUNS_A + 1);
    assert.equal(lines[0].drawn[BREAK_AT], null);
    assert.deepEqual(lines[1].breaks, []);
  },

  async "a skipped run is a gap with its reason, never a zero"(page) {
    const line = await page.evaluate(() => {
      const found = sluice.data.lines.find((one) => one.name === "kvm/exit_round_trip" && one.host === sluice.data.newestHost);
      return {values: found.column("main"), skips: [...found.skips]};
    });
    assert.deepEqual(line.skips.map(([point]) => point), [12, 13, 14]);
    assert.equal(line.skips[0][1], "/dev/kvm: permission denied");
    assert.deepEqual(line.values.slice(12, 15), [null, null, null]);
    assert.ok(line.values.every((value) => value === null || value > 1000));
  },

  async "decoded histories are those of the rows"(page) {
    const measured = rows().filter((row) => row.kind === "benchmark" && row.name === "kvm/vm_create" && row.host === HOST_A);
    const decoded = await page.evaluate(() => {
      const line = sluice.data.lines.find((one) => one.name === "kvm/vm_create" && one.host === sluice.data.newestHost);
      return {main: line.column("main"), mad: line.column("mad"), seconds: line.seconds};
    });
    assert.equal(decoded.main.length, measured.length);
    measured.sort((a, b) => a.time.localeCompare(b.time)).forEach((row, i) => {
      assert.ok(Math.abs(decoded.main[i] / row.cpu.median - 1) < 0.0006, `${decoded.main[i]} for ${row.cpu.median}`);
      assert.ok(Math.abs(decoded.mad[i] / row.cpu.mad - 1) < 0.06, `${decoded.mad[i]} for ${row.cpu.mad}`);
    });
  },

  async "another host has its own view, labelled where its topology is synthetic"(page) {
    await page.selectOption("#host", HOST_B);
    assert.match(await page.innerText("#subtitle"), /AMD EPYC 9555.*synthetic topology/);
    assert.equal(await page.locator('.badge.label:text-is("synthetic topology")').count() > 10, true);
    assert.equal(await tile(page, "Mismatches"), "1");
    assert.match(await page.innerText("#differential-body"), /500 random \(seed 7, from number 1000, 62% acting\) sequences on kvm/);
    assert.match(await page.innerText("#differential-body"), /prefault_order\.ops:7\s+errno\s+EINVAL\s+EOPNOTSUPP/);
    assert.match(await hash(page), new RegExp("host=" + HOST_B));
    await page.selectOption("#host", "all");
    assert.equal(await page.innerText("#shown"), "42 of 42");
    assert.equal(await page.locator("#hosts-body .block").count(), 2);
  },

  async "tests of other suites have a place of their own, also from a host that ran none"(page) {
    const check = async () => {
      assert.equal(await tile(page, "Selftests"), "1 of 2");
      assert.match(await page.innerText('.tile[data-tile="Selftests"]'), /1 failed, 1 skipped/);
      assert.match(await page.innerText("#selftests-body h3"), new RegExp("^Linux 6\\.12\\.117 \u00b7 host " + HOST_B));
      const lines = await page.$$eval("#selftests-body tbody tr", (found) => found.map((row) => [...row.children].map((cell) => cell.innerText.trim())));
      assert.deepEqual(lines, [
        ["pre_fault_memory_test kvm-selftests", "\u2713 passed", "0.4 s", "", "2026-10-10 03:12"],
        ["private_mem_conversions_test -n 2 kvm-selftests", "skipped", "0.0 s", "Requirement not met: SW_PROTECTED_VM", "2026-10-10 03:12"],
        ["set_memory_region_test kvm-selftests", "\u2717 failed", "\u2013", HOSTILE_REASON, "2026-10-10 03:12"]]);
      assert.equal(await page.evaluate(() => window.hacked), undefined);
    };
    await check();
    await page.selectOption("#host", HOST_B);
    await check();
    await page.selectOption("#host", "all");
    await check();
  },

  async "the log axis and the zoom reach every chart and the hash"(page) {
    await page.click(`${M1} td.name`);
    await page.click("#log");
    assert.match(await hash(page), /log=1/);
    assert.ok(await page.evaluate(() => [...sluice.charts].every(({line, plot}) => !line || plot.scales.y.distr === 3)));
    await page.locator("tr.detail .u-over").first().scrollIntoViewIfNeeded();
    const over = await page.locator("tr.detail .u-over").first().boundingBox();
    await page.mouse.move(over.x + over.width * 0.3, over.y + 60);
    await page.mouse.down();
    await page.mouse.move(over.x + over.width * 0.6, over.y + 60, {steps: 5});
    await page.mouse.up();
    const zoom = (await hash(page)).match(/zoom=(\d+)-(\d+)/);
    assert.ok(zoom, await hash(page));
    const ranges = await page.evaluate(() => [...sluice.charts].filter(({line}) => line).map(({plot}) => [plot.scales.x.min, plot.scales.x.max].join("-")));
    assert.ok(ranges.length >= 2 && ranges.every((range) => range === `${zoom[1]}-${zoom[2]}`), ranges.join(" "));
    assert.ok(await page.isVisible("#unzoom"));
    await page.click("#unzoom");
    assert.doesNotMatch(await hash(page), /zoom/);
  },

  async "themes change the page and are kept"(page) {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.click("#theme");
    await page.click("#theme");
    assert.notEqual(await background(), light);
    assert.match(await hash(page), /theme=dark/);
  },

  async "trends draw when they come into sight"(page) {
    assert.equal(await page.locator("#trend-grid .card").count(), 18);
    await page.locator("#trend-grid .card").last().scrollIntoViewIfNeeded();
    await page.waitForFunction(() => document.querySelector("#trend-grid .card:last-child").dataset.drawn === "1");
    assert.ok(await page.locator("#trend-grid canvas").count() > 0);
  },

  async "fuzzing shows rates, the ratio to the ceiling and findings"(page) {
    const body = await page.innerText("#fuzz-body");
    assert.match(body, /rmp\.assigned_implies_single_npt_leaf\s+out\/findings\/r2-0c11\.ops/);
    assert.match(body, /fuzz_sequence\s*F1\s+libfuzzer/);
    assert.match(body, /\u2265 0\.1\u00d7/);
    assert.equal(await page.locator("#fuzz-body table").first().locator("tbody tr").count(), 3);
  },

  async "differential, gate, skips and hosts are there"(page) {
    assert.match(await page.innerText("#differential-body"), /214 sequences on kvm.*no mismatch/);
    assert.match(await page.innerText("#differential-body"), /errno\s+1,842\s+12/);
    assert.match(await page.innerText("#gate-body"), /regression\s+model\/psmash: counter smash 512 -> 513/);
    assert.match(await page.innerText("#skipped-body"), /perf_event_open: ENOENT \(no PMU\)\s+hardware counters/);
    assert.match(await page.innerText("#skipped-body"), /no hardware counters on this host \(ENOENT\)\s+instructions in 19 benchmarks/);
    assert.match(await page.innerText("#hosts-body"), /governor\s+not available: no cpufreq on this host/);
    assert.match(await page.innerText("#hosts-body"), /2026-10-26 02:00: kernel: 6\.18\.44 -> 6\.18\.52/);
  },

  async "hostile names stay text"(page) {
    assert.ok((await names(page)).includes(HOSTILE_NAME));
    await page.selectOption("#host", "all");
    await page.click('tr.result:has-text("onerror")');
    assert.ok((await page.innerText("#skipped-body")).includes(HOSTILE_REASON));
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator("main img, main script, main i, main u").count(), 0);
  },

  async "exports hold what the table shows"(page) {
    await page.fill("#search", "rmpupdate sequential 4K");
    const save = async (button) => {
      const [saved] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
      return readFileSync(await saved.path(), "utf8");
    };
    const json = JSON.parse(await save("#json"));
    assert.equal(json.rows.length, 2);
    const row = json.rows.find((one) => !one.smoke);
    assert.equal(row.cpu.median, 1.834);
    assert.equal(row.host, HOST_A);
    const csv = await save("#csv");
    assert.match(csv, /^name,backend,target,arguments,/);
    assert.match(csv, /\r\nmodel\/rmpupdate\/4K\/sequential,model,M1,.*,ns\/page,1\.834,/);
    await page.fill("#search", "calc");
    assert.match(await save("#csv"), /\r\n'=cmd\|/);  // a spreadsheet must not run it
  },

  async "the keyboard opens rows and finds the search"(page) {
    await page.locator(M1).focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("tr.detail").count(), 1);
    assert.equal(await page.evaluate(() => document.activeElement.matches("tr.result.open")), true);
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  },
};

// A link shows the view that made it.
async function permalink(folder) {
  const first = await openPage(folder, {hash: `host=${HOST_B}&missed=1&sort=ratio&down=1&log=1&theme=dark&group=none`});
  const shown = await names(first.page);
  assert.deepEqual(shown, ["kvm/memslot_add_delete", "model/convert/1GiB/4K"].filter((name) => shown.includes(name)).reverse());
  assert.ok(shown.length > 0);
  assert.equal(await first.page.isChecked("#missed"), true);
  assert.equal(await first.page.getAttribute("#log", "aria-pressed"), "true");
  await first.page.evaluate(() => { location.hash = "q=psmash"; });
  await first.page.waitForFunction(() => document.getElementById("search").value === "psmash");
  assert.equal((await names(first.page)).length, 1);
  await first.browser.close();
  const nonsense = await openPage(folder, {hash: "host=nobody&zoom=9-1&sort=%00&open=../..&theme=pink&group=x"});
  assert.equal((await names(nonsense.page)).length, 22);
  await nonsense.browser.close();
  assert.deepEqual([...first.problems, ...nonsense.problems], []);
}

// Only the differences that matter: no benchmark at all, one host, one point.
async function small() {
  const one = rows().filter((row) => row.host === HOST_A).filter((row) => row.kind === "skip" || row.kind === "host").slice(0, 3);
  const bare = await openPage(site("bare", one));
  assert.match(await bare.page.innerText("#table"), /No benchmark rows/);
  assert.equal(await tile(bare.page, "Targets met"), "\u2013");
  assert.equal(await bare.page.isVisible("#fuzzing"), false);
  assert.match(await bare.page.innerText("#alternatives-body"), /No rows of design alternatives\. sluice alternatives --rows rows\.jsonl makes them; then sluice site/);
  assert.match(await bare.page.innerText("#scaling-body"), /No rows of simulations\. sluice simulate --workload all --rows rows\.jsonl makes them/);
  await bare.browser.close();
  const point = await openPage(site("point", rows().filter((row) => row.kind === "benchmark" && row.target === "M1").slice(0, 1)));
  await point.page.click("tr.result td.name");
  assert.equal(await point.page.locator("tr.detail .uplot").count(), 2);
  const span = await point.page.evaluate(() => [...sluice.charts].map(({plot}) => plot.scales.x.max - plot.scales.x.min));
  assert.deepEqual(span, [7200, 7200]);
  assert.match(await point.page.innerText("#trend-grid"), /needs two runs/);
  assert.match(await point.page.innerText("#hosts-body"), /No fingerprint recorded/);
  await point.browser.close();
  assert.deepEqual([...bare.problems, ...point.problems], []);
}

// Only alternatives and simulations, as somebody has who weighs a design.
async function designOnly() {
  const {browser, page, problems} = await openPage(site("design", [...alternatives(), ...simulations()]));
  assert.match(await page.innerText("#subtitle"), /2026-11-09 02:13 UTC/);
  assert.equal(await page.locator("#alternatives-table tr.choice").count(), 8);
  assert.equal(await page.locator("#scaling .block").count(), 3);
  assert.deepEqual(await page.$$eval("#sections a", (found) => found.map((link) => link.textContent)),
    ["Latest results", "Design alternatives", "Scaling", "Hosts"]);
  await browser.close();
  assert.deepEqual(problems, []);
}

// 200 lines of 1,000 points. The size is held; the time is printed, as a busy machine makes any time.
async function many() {
  const folder = site("many", manyRows(200, 1000));
  const bytes = statSync(join(folder, "index.html")).size;
  const {browser, page, problems} = await openPage(folder);
  const drawn = await page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const loaded = performance.now(), timing = performance.getEntriesByType("navigation")[0];
    const cards = [...document.querySelectorAll("#trend-grid .card")], width = cardWidth(cards[0]);
    for (const card of cards) if (!card.dataset.drawn) drawCard(card, sluice.state, width);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return {loaded: Math.round(loaded - timing.startTime), all: Math.round(performance.now() - timing.startTime),
      charts: document.querySelectorAll("#trend-grid .uplot").length};
  });
  await browser.close();
  rmSync(join(workDir, "many"), {recursive: true});  // its rows fill 350 MB
  console.log(`200 series x 1,000 points: ${bytes} bytes, page drawn after ${drawn.loaded} ms, all ${drawn.charts} charts after ${drawn.all} ms`);
  assert.equal(drawn.charts, 200);
  assert.ok(bytes <= 2_000_000, `${bytes} bytes`);
  assert.deepEqual(problems, []);
}

async function run(name, body) {
  try {
    await body();
    console.log("ok      " + name);
    return true;
  } catch (error) {
    console.log("FAILED  " + name + "\n" + (error.stack || error));
    return false;
  }
}

async function main() {
  if (!makeSite || !workDir) {
    console.log("usage: node dashboard.mjs MAKE_SITE_PROGRAM WORK_DIR");
    return 1;
  }
  if (!findChromium() || !findDriver()) {
    console.log("SKIPPED: " + (findChromium() ? "no playwright-core: run ci/setup" : "no Chromium: run ci/setup"));
    return 77;
  }
  const folder = site("fixture", rows());
  const results = [];
  const shared = await openPage(folder);  // one browser; a fresh page for each test
  for (const [name, test] of Object.entries({...tests, ...alternativesTests})) {
    results.push(await run(name, async () => {
      const before = shared.problems.length;
      await shared.page.goto("about:blank");
      await shared.page.goto(shared.url);
      await shared.page.waitForFunction(() => document.documentElement.dataset.ready === "1");
      await test(shared.page);
      assert.deepEqual(shared.problems.slice(before).filter((problem) => problem !== "request: about:blank"), []);
    }));
  }
  await shared.browser.close();
  results.push(await run("a link shows the view that made it", () => permalink(folder)));
  results.push(await run("a page with little on it", small));
  results.push(await run("a page of design alternatives alone", designOnly));
  results.push(await run("a page with much on it", many));
  console.log(`${results.filter(Boolean).length} of ${results.length} passed`);
  return results.every(Boolean) ? 0 : 1;
}

exit(await main());
