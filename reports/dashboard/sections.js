// Everything but the table of results: totals, trends, fuzzing, the differential, tests of other suites, the gate, what was skipped, hosts.
"use strict";

function ofHost(rows, data, state) {
  const host = chosenHost(data, state);
  return rows.filter((row) => host < 0 || row.host === host);
}

function section(id, ...content) {
  const node = document.getElementById(id), shown = content.flat(Infinity).some((part) => part);
  node.hidden = !shown;
  replace(node.querySelector("div"), content);
  return shown;
}

function table(head, rows, kind) {
  return el("div.scroll", null, el("table." + (kind || "plain"), null,
    el("thead", null, el("tr", null, head.map(([title, numeric, hint]) => el(numeric ? "th.number" : "th", {title: hint}, title)))),
    el("tbody", null, rows)));
}

function sum(counts) {
  return Object.values(counts || {}).reduce((total, count) => total + count, 0);
}

function tile(label, value, note, mood) {
  return el("div.tile" + (mood ? "." + mood : ""), {"data-tile": label}, el("span.label", null, label), el("strong", null, value), el("small", null, note));
}

function renderTiles(data, state) {
  const lines = ofHost(data.lines, data, state), fuzz = ofHost(data.fuzzLines, data, state);
  const judged = [...lines, ...fuzz].filter((line) => line.target && line.verdict);
  const met = judged.filter((line) => line.verdict === "met").length, missed = judged.filter((line) => line.verdict === "missed").length;
  const measured = lines.filter((line) => !line.skipped), smoke = measured.filter((line) => line.labels.includes("smoke")).length;
  const findings = fuzz.reduce((total, line) => total + (line.row.findings || []).length, 0);
  const differential = ofHost(data.differential, data, state);
  const mismatches = differential.reduce((total, row) => total + (row.mismatches || []).length, 0);
  const compared = differential.reduce((total, row) => total + sum(row.compared), 0);
  const skipped = skipList(data, state).length;
  replace(document.getElementById("tiles"),
    tile("Targets met", met + missed ? met + " of " + (met + missed) : MISSING, missed ? missed + " missed" : met ? "none missed" : "no target measured",
      missed ? "bad" : met ? "good" : ""),
    tile("Benchmarks", measured.length, smoke ? smoke + " smoke sized" : "measured"),
    fuzz.length ? tile("Fuzz findings", findings, compact(fuzz.reduce((total, line) => total + (line.row.executions || 0), 0)) + " executions",
      findings ? "bad" : "good") : tile("Fuzz findings", MISSING, "no fuzzing recorded"),
    differential.length ? tile("Mismatches", mismatches, grouped(compared) + " fields compared", mismatches ? "bad" : compared ? "good" : "")
      : tile("Mismatches", MISSING, "no differential recorded"),
    testTile(data, state),
    tile("Skipped", skipped, skipped ? "each with its reason" : "nothing"));
}

let trendObserver = null;

// The room for a chart in a card; the same for all of them, and asking between two drawings would lay the page out anew.
function cardWidth(card) {
  const style = getComputedStyle(card);
  return card.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
}

function drawCard(card, state, width) {
  drawChart(card, card.line, "main", state, {height: 140, width, quiet: true});
  card.dataset.drawn = "1";
}

// Cards of the lines that the table shows; each draws itself when it comes near the screen.
function renderTrends(data, state) {
  const grid = document.getElementById("trend-grid");
  dropCharts([grid]);
  if (trendObserver) trendObserver.disconnect();
  trendObserver = new IntersectionObserver((entries) => {
    const width = cardWidth(entries[0].target);
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      trendObserver.unobserve(entry.target);
      drawCard(entry.target, state, width);
    }
  }, {rootMargin: "300px"});
  const shown = sorted(filtered(data, state), state), lines = shown.filter((line) => line.series.main && line.runs.length > 1);
  const cards = lines.map((line) => {
    const card = el("article.card", {"data-id": line.id}, el("h3", null, el("code", null, line.name), " ", badges(line)),
      el("small", null, line.argumentText || "\u00a0", chosenHost(data, state) < 0 && " \u00b7 host " + data.hosts[line.host].id));
    card.line = line;
    return card;
  });
  document.getElementById("trends").hidden = !data.lines.length;
  replace(grid, cards,
    shown.length && !cards.length ? el("p.muted", null, "A trend needs two runs: run the benchmarks again on this host.") : null);
  cards.forEach((card) => trendObserver.observe(card));
}

function fuzzRow(line) {
  const row = line.row, cell = (text) => el("td.number", null, text);
  const name = el("td.name", null, el("code", null, line.name), " ", badges(line), el("small", null, line.backend));
  if (line.skipped) return el("tr.is-skipped", null, name, el("td.skip", {colspan: 9}, el("span.badge.skipped", null, "skipped"), " ", line.skipped));
  const findings = (row.findings || []).length;
  return el("tr", null, name, cell(compact(row.executions_per_second)), cell(compact(row.empty_executions_per_second)),
    el("td.ratio-cell", null, ratioBar(line)), el("td", null, targetCell(line)), cell(compact(row.executions)), cell(duration(row.seconds)),
    cell(row.corpus_entries === null || row.corpus_entries === undefined ? MISSING : grouped(row.corpus_entries)),
    cell(percent(row.acting_share)), el("td.number" + (findings ? ".missed" : ""), null, findings), el("td.history", null, sparkline(line)));
}

function renderFuzz(data, state) {
  const lines = ofHost(data.fuzzLines, data, state);
  if (!lines.length) return section("fuzzing");
  const findings = lines.flatMap((line) => (line.row.findings || []).map((finding) => el("tr", null,
    el("td", null, el("code", null, line.name)), el("td", null, line.backend), el("td", null, el("b", null, finding.invariant)),
    el("td", null, el("code", null, finding.file)))));
  return section("fuzzing",
    table([["Fuzzer"], ["Executions/s", true], ["Empty target/s", true, "the engine's own speed: the ceiling"], ["Ratio to ceiling"], ["Target"],
      ["Executions", true], ["Time", true], ["Corpus", true], ["Acting", true, "mutated operations that act, of all"], ["Findings", true], ["History"]],
    lines.map(fuzzRow)),
    findings.length ? [el("h3", null, "Findings"), table([["Fuzzer"], ["Engine"], ["Invariant"], ["File"]], findings)] : null);
}

function randomText(random) {
  return random ? " random (seed " + random.seed + ", from number " + random.first + ", " + percent(random.acting_share) + " acting)" : "";
}

function differentialBlock(row, data) {
  const fields = [...new Set([...Object.keys(row.compared || {}), ...Object.keys(row.uncomparable || {})])];
  const counts = fields.map((field) => {
    const compared = (row.compared || {})[field] || 0, not = (row.uncomparable || {})[field] || 0;
    const bar = el("span.bar.share"), fill = el("span.fill.plain");
    fill.style.width = compared + not ? compared / (compared + not) * 100 + "%" : "0";
    bar.append(fill);
    return el("tr", null, el("td", null, el("code", null, field)), el("td.number", null, grouped(compared)),
      el("td.number", null, grouped(not)), el("td", null, bar));
  });
  const mismatches = (row.mismatches || []).map((mismatch) => el("tr", null, el("td", null, el("code", null, mismatch.file + ":" + mismatch.line)),
    el("td", null, mismatch.field), el("td", null, mismatch.model), el("td", null, mismatch.kvm)));
  const skipped = Object.entries(row.skipped_steps || {}).sort((a, b) => b[1] - a[1]).map(([reason, count]) =>
    el("tr", null, el("td", null, reason), el("td.number", null, grouped(count))));
  const run = data.runs[row.run];
  return el("div.block", null,
    el("p", null, el("b", null, grouped(row.sequences || 0)), randomText(row.random), " sequences on ", el("b", null, row.backend), ", ", dateText(run.time), ", host ",
      el("code", null, data.hosts[row.host].id), ": ", el("b" + (mismatches.length ? ".missed" : ".met"), null,
        mismatches.length ? mismatches.length + " mismatches" : "no mismatch"), "."),
    mismatches.length ? table([["Where"], ["Field"], ["Model"], ["Kernel"]], mismatches) : null,
    el("div.columns", null,
      counts.length ? table([["Field"], ["Compared", true], ["Not comparable", true], ["Share compared"]], counts) : null,
      skipped.length ? table([["Steps skipped because"], ["Steps", true]], skipped) : null));
}

function renderDifferential(data, state) {
  return section("differential", ofHost(data.differential, data, state).map((row) => differentialBlock(row, data)));
}

// Other suites' tests run on kernels of their own, in guests: a host that ran none shows those of the newest run that did.
function testsShown(data, state) {
  const own = ofHost(data.tests, data, state), newest = Math.max(...data.tests.map((row) => row.run));
  return own.length ? own : data.tests.filter((row) => row.run === newest);
}

function testTile(data, state) {
  const shown = testsShown(data, state), count = (verdict) => shown.filter((row) => row.verdict === verdict).length;
  if (!shown.length) return null;
  return tile("Selftests", count("passed") + " of " + (shown.length - count("skipped")), count("failed") + " failed, " + count("skipped") + " skipped",
    count("failed") ? "bad" : count("passed") ? "good" : "");
}

function testBlock(rows, data) {
  const words = {passed: ["met", "\u2713 passed"], failed: ["missed", "\u2717 failed"], skipped: ["muted", "skipped"]};
  const host = data.hosts[rows[0].host], fingerprint = host.fingerprint || {};
  const lines = rows.slice().sort((a, b) => (a.name < b.name ? -1 : 1)).map((row) => el("tr", {"data-test": row.name}, el("td", null, el("code", null, row.name), el("small", null, " " + row.suite)),
    el("td", null, el("span.verdict." + words[row.verdict][0], null, words[row.verdict][1])),
    el("td.number", null, row.seconds === null ? MISSING : row.seconds.toFixed(1) + " s"), el("td", null, row.reason),
    el("td", null, dateText(row.time))));
  return el("div.block", {"data-tests-of": host.id},
    el("h3", null, fingerprint.kernel ? "Linux " + fingerprint.kernel : "Kernel not recorded", fingerprint.lane ? " \u00b7 " + fingerprint.lane : "",
      el("small", null, " \u00b7 host ", el("code", null, host.id))),
    table([["Test"], ["Verdict"], ["Time", true], ["Reason"], ["Date"]], lines));
}

function renderTests(data, state) {
  const byHost = new Map();
  for (const row of testsShown(data, state)) byHost.set(row.host, (byHost.get(row.host) || []).concat(row));
  return section("selftests", [...byHost.values()].map((rows) => testBlock(rows, data)));
}

function renderGate(data, state) {
  const words = {0: ["met", "\u2713 fine"], 1: ["missed", "\u2717 regression"], 2: ["muted", "? inconclusive"]};
  const rows = ofHost(data.gates, data, state).map((gate) => {
    const [kind, text] = words[gate.status] || ["muted", "status " + gate.status];
    return el("tr", null, el("td", null, dateText(gate.time)), el("td", null, el("code", null, String(gate.base || "").slice(0, 12))),
      el("td", null, el("code", null, String(gate.revision || "").slice(0, 12))), el("td", null, el("span.verdict." + kind, null, text)),
      el("td", null, (gate.failures || []).map((failure) => el("div", null, failure))));
  });
  return section("gate", rows.length ? table([["Date"], ["Base"], ["Revision"], ["Verdict"], ["Failures"]], rows) : null);
}

// What hosts lack, benchmarks and fuzz targets that were skipped, and counters that could not be read.
function skipList(data, state) {
  const skips = ofHost(data.skips, data, state).map((row) => ({name: row.name, reason: row.reason, host: row.host, run: row.run}));
  for (const line of ofHost([...data.lines, ...data.fuzzLines], data, state)) {
    if (line.skipped) skips.push({name: line.name, reason: line.skipped, host: line.host, run: line.row.run, note: line.argumentText});
  }
  return skips;
}

function missingCounters(data, state) {
  const found = new Map();
  for (const line of ofHost(data.lines, data, state)) {
    for (const [counter, reason] of Object.entries(line.row.counter_reasons || {})) {
      const key = counter + "\n" + reason + "\n" + line.host;
      if (!found.has(key)) found.set(key, {counter, reason, host: line.host, rows: 0});
      found.get(key).rows++;
    }
  }
  return [...found.values()];
}

function renderSkipped(data, state) {
  const skips = skipList(data, state), byReason = new Map();
  for (const skip of skips) byReason.set(skip.reason, (byReason.get(skip.reason) || []).concat(skip));
  const rows = [...byReason].map(([reason, same]) => el("tr", null, el("td", null, reason),
    el("td", null, same.map((skip) => el("div", null, el("code", null, skip.name), skip.note ? el("small", null, " " + skip.note) : null,
      chosenHost(data, state) < 0 ? el("small", null, " \u00b7 host " + data.hosts[skip.host].id) : null)))));
  const counters = missingCounters(data, state).map((missing) => el("tr", null, el("td", null, missing.reason),
    el("td", null, el("code", null, missing.counter), el("small", null, " in " + missing.rows + (missing.rows === 1 ? " benchmark" : " benchmarks")))));
  return section("skipped",
    rows.length ? table([["Reason"], ["What"]], rows, "plain.reasons") : null,
    counters.length ? [el("h3", null, "Counters not available"), table([["Reason"], ["Counter"]], counters, "plain.reasons")] : null);
}

// "huge_pages": {"2M": 0} becomes one fact, huge_pages.2M.
function flatFacts(value, prefix) {
  return Object.entries(value || {}).flatMap(([name, part]) => {
    const key = prefix ? prefix + "." + name : name;
    return part !== null && typeof part === "object" && !Array.isArray(part) ? flatFacts(part, key) : [[key, part]];
  });
}

function factValue(host, name, value) {
  if (value === null) return el("span.muted", null, "not available: " + ((host.reasons || {})[name] || "no reason recorded"));
  if (/bytes$/.test(name) && typeof value === "number") return bytesText(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = plainValue(value);
  return text.length > 60 ? el("details", null, el("summary", null, text.slice(0, 56) + "\u2026"), el("span", null, text)) : text;
}

function hostBlock(host, data) {
  const all = flatFacts(host.fingerprint, ""), mitigations = all.filter(([name]) => name.startsWith("mitigations."));
  const others = all.filter(([name]) => !name.startsWith("mitigations.")), fact = ([name, value]) => [name, factValue(host, name, value)];
  const changes = host.changes.slice().reverse().map((change) => el("li", null, dateText(data.runs[change.run].time), ": ", change.what.join("; ")));
  return el("div.block", {"data-host": host.id}, el("h3", null, el("code", null, host.id),
    host.fingerprint && host.fingerprint.synthetic_topology === true ? el("span.badge.label", null, "synthetic topology") : null),
  host.fingerprint ? facts(others.map(fact)) : el("p.muted", null, "No fingerprint recorded."),
  mitigations.length ? el("details", null, el("summary", null, mitigations.length + " mitigations"),
    facts(mitigations.map(([name, value]) => fact([name.slice(12), value])))) : null,
  changes.length ? [el("h4", null, "Changes"), el("ul", null, changes)] : null);
}

function renderHosts(data, state) {
  const host = chosenHost(data, state);
  return section("hosts", data.hosts.filter((_, index) => host < 0 || index === host).map((one) => hostBlock(one, data)));
}
