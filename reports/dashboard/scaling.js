// Scaling in virtual time: for each workload pages a second over vCPUs, what share of their time vCPUs wait for locks, and the numbers.
"use strict";

const LINE_FIELDS = ["policy", "nodes", "topology", "placement", "pages_a_vcpu", "seed", "prices"];
const LINE_COLORS = 6;  // --k1 to --k6
const LOCK_SHARE_SHOWN = 0.01;  // of all time, at some number of vCPUs
let scalingObserver = null;

function fieldText(row, field) {
  switch (field) {
    case "policy": return row.policy || "all policies as mainline";
    case "nodes": return times(row.nodes, "node");
    case "topology": return row.topology ? "topology " + row.topology.name + " (" + row.topology.processors.join(" + ") + " processors)" : "";
    case "placement": return "placement " + row.placement;
    case "pages_a_vcpu": return times(row.pages_a_vcpu, "page") + " a vCPU";
    case "seed": return "seed " + row.seed;
    default: return row.prices ? "prices of " + row.prices : "";
  }
}

const fieldTexts = (row, fields) => fields.map((field) => fieldText(row, field)).filter(Boolean).join(", ");

// Workloads with their curves. A curve is named by what the curves of its workload do not share.
function scalingWorkloads(data) {
  const workloads = new Map();
  for (const row of data.simulations) {
    const key = JSON.stringify(LINE_FIELDS.map((field) => row[field]));
    if (!workloads.has(row.workload)) workloads.set(row.workload, new Map());
    const curves = workloads.get(row.workload);
    curves.set(key, (curves.get(key) || []).concat(row));
  }
  return [...workloads].map(([name, curves]) => {
    const all = [...curves.values()].map((rows) => rows.sort((a, b) => a.vcpus - b.vcpus)), first = all[0][0];
    const shared = LINE_FIELDS.filter((field) => all.every(([row]) => JSON.stringify(row[field]) === JSON.stringify(first[field])));
    const own = LINE_FIELDS.filter((field) => !shared.includes(field));
    return {name, run: Math.max(...all.map(([row]) => row.run)), shared: fieldTexts(first, shared),
      curves: all.map((rows) => ({rows, label: fieldTexts(rows[0], own)}))};
  });
}

const works = (row) => row.refused === 0;

// [name, share of all vCPUs' time for each row], the longest waited for first.
function lockShares(rows) {
  const names = [...new Set(rows.flatMap((row) => row.locks.map((lock) => lock.name)))];
  const share = (row, name) => {
    const lock = row.locks.find((one) => one.name === name);
    return !works(row) || !row.virtual_ns ? null : lock ? lock.waited_ns / (row.virtual_ns * row.vcpus) : 0;
  };
  return names.map((name) => ({label: name, values: rows.map((row) => share(row, name))}))
    .filter(({values}) => Math.max(...values) >= LOCK_SHARE_SHOWN)
    .sort((a, b) => Math.max(...b.values) - Math.max(...a.values));
}

// 1, 2, 5, 10, 20 ... between the ends.
function decadeSplits(u, axis, low, high) {
  const splits = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= low && value <= high) splits.push(value);
    }
  }
  return splits.length > 8 ? splits.filter((value) => Number.isInteger(Math.log10(value))) : splits;
}

function vcpuSplits(counts) {
  return counts.length <= 10 ? counts : counts.filter((count) => Number.isInteger(Math.log2(count)));
}

const widened = (factor) => (u, low, high) => (low === null || high === null ? [1, 10] : [low / factor, high * factor]);

function scalingReadout(u, lines, format) {
  const at = u.cursor.idx;
  if (at === null || at === undefined || u.cursor.left < 0) return "\u00a0";
  const parts = lines.map(({label, values}) => (values[at] === null ? null : (label ? label + " " : "") + format(values[at]))).filter(Boolean);
  return times(u.data[0][at], "vCPU") + ": " + parts.join(", ");
}

// Lines over numbers of vCPUs, in powers of two. options: format (of a value), share (the axis is 0 to 1, else in powers of ten), ideal (values, dashed).
function drawScaling(box, counts, lines, options) {
  const readout = el("p.readout", null, "\u00a0"), holder = el("div.plot");
  box.append(readout, holder);
  const axis = {stroke: () => color("muted"), font: "11px system-ui, sans-serif", grid: {stroke: () => color("grid"), width: 1}, ticks: {show: false}};
  const stroke = (i) => () => color("k" + (i % LINE_COLORS + 1));
  const curve = (line, i) => ({stroke: stroke(i), width: 1.5, spanGaps: true, dash: i < LINE_COLORS ? [] : [5, 3], points: {show: true, size: 5, fill: stroke(i)}});
  const ideal = {stroke: () => color("muted"), width: 1, dash: [2, 3], points: {show: false}};
  const plot = new uPlot({
    width: Math.max(holder.clientWidth, 200), height: 180, legend: {show: false}, padding: [8, 20, 0, 0],
    scales: {x: {time: false, distr: 3, log: 2, range: widened(1.15)},
      y: options.share ? {range: [0, 1]} : {distr: 3, log: 10, range: widened(1.4)}},
    axes: [{...axis, size: 28, splits: () => vcpuSplits(counts), filter: (u, splits) => splits, values: (u, splits) => splits.map(String)},
      {...axis, size: 64, filter: (u, splits) => splits, splits: options.share ? () => [0, 0.25, 0.5, 0.75, 1] : decadeSplits,
        values: (u, splits) => splits.map(options.share ? (share) => share * 100 + "%" : options.format)}],
    series: [{}, ...lines.map(curve), ...(options.ideal ? [ideal] : [])],
    cursor: {drag: {x: false, y: false}, points: {show: (u, i) => i <= lines.length}},
    hooks: {setCursor: [(u) => { readout.textContent = scalingReadout(u, lines, options.format); }]},
  }, [counts, ...lines.map((line) => line.values), ...(options.ideal ? [options.ideal] : [])], holder);
  charts.add({plot, holder, line: null, height: 180});
}

function legend(lines, isIdeal) {
  const named = lines.filter(({label}) => label);
  if (!named.length && !isIdeal) return null;
  return el("p.legend", null, named.map(({label}) => el("span", null, el("i.key.k" + (lines.findIndex((line) => line.label === label) % LINE_COLORS + 1)), label)),
    isIdeal ? el("span", null, el("i.key.ideal"), "as many times as vCPUs") : null);
}

// Curves of one workload on one axis: a number of vCPUs that a curve lacks is a gap in it.
function speedCard(workload) {
  const counts = [...new Set(workload.curves.flatMap(({rows}) => rows.map((row) => row.vcpus)))].sort((a, b) => a - b);
  const lines = workload.curves.map(({label, rows}) => ({label, values: counts.map((count) => {
    const row = rows.find((one) => one.vcpus === count);
    return row && works(row) && row.pages_per_second > 0 ? row.pages_per_second : null;
  })}));
  const start = lines.length === 1 ? lines[0].values.findIndex((value) => value !== null) : -1;
  const ideal = start < 0 ? null : counts.map((count) => lines[0].values[start] / counts[start] * count);
  const card = el("article.card", {"data-chart": "speed"}, el("h4", null, "Pages a second"));
  card.draw = () => {
    drawScaling(card, counts, lines, {format: compact, ideal});
    append(card, [legend(lines, ideal !== null)]);
  };
  return card;
}

function lockCard({rows, label}) {
  const lines = lockShares(rows);
  const card = el("article.card", {"data-chart": "locks"}, el("h4", null, "Time spent waiting for locks", label ? el("small", null, label) : null));
  if (!lines.length) {
    append(card, [el("p.muted", null, "Nobody waits for a hundredth of the time.")]);
    return card;
  }
  card.draw = () => {
    drawScaling(card, rows.map((row) => row.vcpus), lines, {format: percent, share: true});
    append(card, [legend(lines, false)]);
  };
  return card;
}

const microseconds = (nanoseconds) => time(nanoseconds / 1000);

function worstLock(row) {
  const worst = row.locks.reduce((most, lock) => (lock.waited_ns > (most ? most.waited_ns : 0) ? lock : most), null);
  return worst ? [el("code", null, worst.name), " ", percent(worst.waited_ns / (row.virtual_ns * row.vcpus))] : MISSING;
}

function numberRows({rows, label}, many) {
  const first = rows[0].pages_per_second / rows[0].vcpus;
  return rows.map((row) => {
    const cells = [many ? el("td", null, label) : null, el("td.number", null, row.vcpus)];
    if (!works(row)) return el("tr", null, cells, el("td.skip", {colspan: 8}, times(row.refused, "operation") + " refused: this policy does not let it work"));
    return el("tr", null, cells, el("td.number", null, grouped(row.pages_per_second)), el("td.number", null, first > 0 ? (row.pages_per_second / first).toFixed(2) : MISSING),
      ["p50", "p90", "p99", "p99.9", "max"].map((share) => el("td.number", null, microseconds(row.latency_ns[share]))), el("td", null, worstLock(row)));
  });
}

function numbers(workload) {
  const many = workload.curves.length > 1;
  const head = [many ? ["Curve"] : null, ["vCPUs", true], ["Pages/s", true], ["Speed-up", true, "over the first line, per vCPU of it"],
    ["p50 \u00b5s", true, "of a request"], ["p90", true], ["p99", true], ["p99.9", true], ["Longest", true], ["Waited most for", false, "share of all vCPUs' time"]];
  return el("details", null, el("summary", null, "Numbers"), table(head.filter(Boolean), workload.curves.flatMap((curve) => numberRows(curve, many))));
}

function workloadBlock(workload, data) {
  const run = data.runs[workload.run];
  return el("div.block", {"data-workload": workload.name},
    el("h3", null, el("code", null, workload.name), el("small", null, " \u00b7 " + workload.shared + " \u00b7 " + dateText(run.time) + ", " + commitText(run))),
    el("div.grid", null, speedCard(workload), workload.curves.map(lockCard)), numbers(workload));
}

function renderScaling(data) {
  const node = document.getElementById("scaling");
  dropCharts([node]);
  if (scalingObserver) scalingObserver.disconnect();
  if (!data.simulations.length) return section("scaling", emptyNote("simulations", "sluice simulate --workload all"));
  section("scaling", scalingWorkloads(data).map((workload) => workloadBlock(workload, data)));
  scalingObserver = new IntersectionObserver((entries) => {
    for (const {target, isIntersecting} of entries) {
      if (!isIntersecting) continue;
      scalingObserver.unobserve(target);
      target.draw();
      target.dataset.drawn = "1";
    }
  }, {rootMargin: "300px"});
  node.querySelectorAll(".card").forEach((card) => card.draw && scalingObserver.observe(card));
}
