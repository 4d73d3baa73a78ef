// Design alternatives: a line for each value of each policy axis, and behind it what breaks it, step by step, and every count of its cost.
"use strict";

const FLAVORS = {plain: "SNP", tdx: "TDX"};

// Axis by axis, value by value, as the rows come; the rows of both flavors of a value belong together.
function alternativeAxes(data) {
  const axes = new Map();
  for (const row of data.alternatives) {
    if (!axes.has(row.axis)) axes.set(row.axis, {name: row.axis, summary: row.summary, run: row.run, values: new Map()});
    const {values} = axes.get(row.axis);
    if (!values.has(row.value)) {
      values.set(row.value, {id: shortHash(["alternative", row.axis, row.value].join("\n")), name: row.value, isDefault: row.default, flavors: []});
    }
    const value = values.get(row.value);
    value.flavors.push(row);
    if (row.cost) value.cost = row.cost;
  }
  return [...axes.values()].map((axis) => ({...axis, values: [...axis.values.values()]}));
}

function times(count, one, many) {
  return grouped(count) + " " + (count === 1 ? one : many || one + "s");
}

// What was gone through where nothing was found.
function exploredText(row) {
  const {interleavings, complete} = row.explored;
  return (complete ? "all " : "the first ") + times(interleavings, "interleaving");
}

function verdictText(row) {
  switch (row.verdict) {
    case "broken": return ["missed", "\u2717 broken: " + row.invariant, row.counterexample ? times(row.counterexample.steps.length, "operation") : ""];
    case "nothing_found": return ["met", "\u2713 nothing found", row.explored ? "in " + exploredText(row) + ", \u2264 " + times(row.explored.preemptions_max, "preemption") : ""];
    case "stale": return ["stale", "? stale", row.reason];
    default: return ["muted", "not shown", ""];
  }
}

// One line where both flavors say the same, else one each.
function flavorVerdicts(value) {
  const told = value.flavors.map((row) => ({name: FLAVORS[row.flavor] || row.flavor, words: verdictText(row)}));
  const same = told.length > 1 && told.every(({words}) => words[1] === told[0].words[1] && words[2] === told[0].words[2]);
  const lines = same ? [{name: told.map(({name}) => name).join(", "), words: told[0].words}] : told;
  return lines.map(({name, words: [mood, text, note]}) => el("div.told", null, (told.length > 1 || value.flavors[0].flavor === "tdx") && el("span.badge.flavor", null, name),
    el("span.verdict." + mood, null, text), note && el("small", null, " " + note)));
}

// A bar up to the ratio, with a tick where the default is.
function ofDefaultBar(ratio, longest) {
  if (typeof ratio !== "number") return MISSING;
  const bar = el("span.bar"), fill = el("span.fill.plain"), tick = el("span.tick");
  fill.style.width = ratio / longest * 100 + "%";
  tick.style.left = "calc(" + 1 / longest * 100 + "% - 1px)";
  bar.append(fill, tick);
  return [el("span.ratio", null, ratio.toFixed(2) + "\u00d7"), bar];
}

function costCell(cost) {
  if (!cost) return MISSING;
  if (typeof cost.nanoseconds_a_page === "number") return [el("b", null, grouped(cost.nanoseconds_a_page)), " ", el("small", null, "ns/page")];
  if (typeof cost.nanoseconds_a_try === "number") return el("span.muted", {title: grouped(cost.arrived) + " of " + times(cost.pages, "page") + " arrive"}, grouped(cost.nanoseconds_a_try) + " ns/try");
  return el("span.muted", {title: "where fewer pages arrive than were asked for, there is no cost to name"},
    grouped(cost.arrived) + " of " + times(cost.pages, "page") + " arrive");
}

function stepRows(shown) {
  const rows = shown.steps.map((step, i) => el("tr", null, el("td.number", null, i + 1), el("td", null, el("code", null, step.operation)),
    el("td", null, el("code", null, step.answer))));
  if (shown.at_end) rows.push(el("tr", null, el("td.number", null, "end"), el("td", {colspan: 2}, "Whoever is parked goes on to the end of its operation.")));
  rows.push(el("tr.broken", null, el("td.number", null, "\u2717"), el("td", {colspan: 2}, shown.finding)));
  return rows;
}

function counterexampleBlock(row, many) {
  const shown = row.counterexample;
  const save = () => download([row.axis, row.value].join("_").replace(/[^\w.-]+/g, "_") + (row.flavor === "tdx" ? ".tdx" : "") + ".ops", "text/plain", shown.text);
  return el("div.counterexample", {"data-flavor": row.flavor},
    el("h4", null, "Counterexample" + (many ? ", " + (FLAVORS[row.flavor] || row.flavor) : ""), " \u00b7 ", el("code", null, row.file)),
    el("p", null, el("b", null, row.invariant), ": ", shown.statement),
    el("div.scroll", null, el("table.steps", null,
      el("thead", null, el("tr", null, el("th.number", null, "#"), el("th", null, "Operation"), el("th", null, "Answer"))), el("tbody", null, stepRows(shown)))),
    el("button", {type: "button", onclick: save}, "Save as .ops"));
}

function soundText(row) {
  if (row.verdict === "stale") return "Stale: " + row.reason;
  if (!row.explored) return "No file shows it.";
  const {preemptions_max: preemptions, interleavings_max: most, complete} = row.explored;
  return "Nothing was found in " + exploredText(row) + " with at most " + times(preemptions, "preemption") +
    (complete ? "." : "; after " + grouped(most) + " it was left.");
}

function soundBlock(row, many) {
  return el("div.sound", {"data-flavor": row.flavor},
    el("h4", null, many ? FLAVORS[row.flavor] || row.flavor : "Verdict", row.file ? [" \u00b7 ", el("code", null, row.file)] : null),
    el("p", null, soundText(row)),
    row.explored && row.explored.policy ? el("p.muted", null, "Explored with ", el("code", null, row.explored.policy), ".") : null);
}

// Each count beside the default's: where they differ is what the alternative changes.
function countRows(cost, usual) {
  const of = (name) => (usual ? usual.counts[name] : undefined);
  return Object.entries(cost.counts).filter(([name, count]) => count || of(name)).map(([name, count]) => el("tr", null, el("td", null, el("code", null, name)),
    el("td.number", null, usual && count !== of(name) ? el("b", null, grouped(count)) : grouped(count)),
    usual ? el("td.number.muted", null, of(name) === undefined ? MISSING : grouped(of(name))) : null));
}

// What a conversion leaves behind takes memory.
function framesFact(cost) {
  if (typeof cost.frames_when_shared !== "number") return null;
  return ["memory", times(cost.frames_when_shared, "frame") + " when shared, " + grouped(cost.frames_when_private) + " when private again"];
}

function costBlock(value, usual) {
  const cost = value.cost, other = value.isDefault ? null : usual;
  if (!cost) return el("p.muted", null, "No cost recorded.");
  return [facts([["policy", value.flavors[0].policy || "all as mainline"], ["way", cost.workload],
    ["pages", grouped(cost.arrived) + " of " + grouped(cost.pages) + " arrived"], framesFact(cost), cost.prices ? ["prices", cost.prices] : null]),
  el("table.counters", null, el("caption", null, "Exact counts of the whole way"),
    el("thead", null, el("tr", null, el("th", null, "Count"), el("th.number", null, value.name), other ? el("th.number", null, "default") : null)),
    el("tbody", null, countRows(cost, other)))];
}

function alternativeDetail(value, usual) {
  const many = value.flavors.length > 1 || value.flavors[0].flavor === "tdx";
  return el("tr.detail", {"data-for": value.id}, el("td", {colspan: 5}, el("div.detail-box", null,
    el("div", null, value.flavors.map((row) => (row.counterexample ? counterexampleBlock : soundBlock)(row, many))),
    el("div.side", null, costBlock(value, usual)))));
}

function alternativeRow(value, longest, state) {
  const open = state.get("open").includes(value.id), file = [...new Set(value.flavors.map((row) => row.file).filter(Boolean))];
  return el("tr.choice" + (open ? ".open" : ""), {...opening(state, value.id), "data-value": value.name},
    el("td", null, el("code", null, value.name), " ", value.isDefault ? el("span.badge.target", null, "default") : null),
    el("td", null, flavorVerdicts(value)), el("td.number", null, costCell(value.cost)),
    el("td.ratio-cell", null, ofDefaultBar(value.cost && value.cost.of_default, longest)),
    el("td.shown-by", null, file.map((name) => el("div", {title: name}, el("code", null, name.split("/").slice(-2).join("/"))))));
}

function axisBody(axis, data, state, newest) {
  const usual = (axis.values.find((value) => value.isDefault) || {}).cost, cost = axis.values.map((value) => value.cost).find(Boolean);
  const ratios = axis.values.map((value) => value.cost && value.cost.of_default).filter((ratio) => typeof ratio === "number");
  const longest = Math.max(1.25, ...ratios), run = data.runs[axis.run];
  return el("tbody", {"data-axis": axis.name},
    el("tr.group", null, el("th", {colspan: 5, scope: "rowgroup"}, el("code", null, axis.name), el("span.count", null, axis.summary +
      (cost ? " \u00b7 cost: the way " + cost.workload + ", " + times(cost.pages, "page") : "") +
      (axis.run === newest ? "" : " \u00b7 of " + dateText(run.time) + ", " + commitText(run))))),
    axis.values.map((value) => [alternativeRow(value, longest, state),
      state.get("open").includes(value.id) ? alternativeDetail(value, usual) : null]));
}

function emptyNote(what, command) {
  return el("p.muted.none", null, "No rows of " + what + ". ", el("code", null, command + " --rows rows.jsonl"), " makes them; then ",
    el("code", null, "sluice site rows.jsonl --out DIR"), " again.");
}

function renderAlternatives(data, state) {
  if (!data.alternatives.length) return section("alternatives", emptyNote("design alternatives", "sluice alternatives"));
  const axes = alternativeAxes(data), newest = Math.max(...axes.map((axis) => axis.run)), run = data.runs[newest];
  const broken = axes.flatMap((axis) => axis.values).filter((value) => value.flavors.some((row) => row.counterexample)).map((value) => value.id);
  const others = state.get("open").filter((id) => !broken.includes(id)), all = broken.every((id) => state.get("open").includes(id));
  return section("alternatives",
    el("div.toolbar", null, el("span.muted", null, "Run on " + dateText(run.time) + " UTC, " + commitText(run) + "; the same on every host."), el("span.push"),
      broken.length ? el("button", {type: "button", id: "counterexamples", onclick: () => state.change({open: all ? others : [...others, ...broken]})},
        all ? "Hide counterexamples" : "Show all " + broken.length + " counterexamples") : null),
    el("div.scroll", null, el("table", {id: "alternatives-table"},
      el("thead", null, el("tr", null, [["Alternative"], ["Verdict"], ["Cost", true], ["Over the default's"], ["Shown by"]].map(([title, numeric]) =>
        el(numeric ? "th.number" : "th", null, title)))),
      axes.map((axis) => axisBody(axis, data, state, newest)))));
}
