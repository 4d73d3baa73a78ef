// The table of latest results: filter, sort, group, details of a row, export.
"use strict";

const COLUMNS = [
  {key: "name", title: "Benchmark", value: (line) => line.name},
  {key: "median", title: "Median", hint: "nanoseconds per item, CPU time where it was measured", numeric: true, value: (line) => line.median},
  {key: "spread", title: "\u00b1 MAD", hint: "median absolute deviation over the median", numeric: true, value: (line) => line.spread},
  {key: "p99", title: "p99", hint: "99th percentile of the repetitions", numeric: true, value: (line) => line.times && line.times.p99},
  {key: "floor", title: "Floor", hint: "the least work that must touch the same memory, same run", numeric: true, value: (line) => line.row.floor && line.row.floor.cpu_median},
  {key: "ratio", title: "Ratio to floor", hint: "median over floor, or the number named that the target bounds; the tick is the target's limit", numeric: true, value: (line) => line.row.ratio},
  {key: "use", title: "Target", hint: "sorted by how much of the limit is used", numeric: true, value: (line) => line.use},
  {key: "history", title: "History", value: (line) => line.runs.length},
];

function matches(line, words) {
  const text = [line.name, line.backend, line.target || "", line.argumentText, line.labels.join(" "),
    line.skipped ? "skipped" : ""].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function filtered(data, state) {
  const words = state.get("q").toLowerCase().split(/\s+/).filter(Boolean), host = chosenHost(data, state);
  return data.lines.filter((line) => (host < 0 || line.host === host) &&
    (!state.get("missed") || line.verdict === "missed") &&
    (!state.get("targets") || line.target) &&
    (!state.get("nosmoke") || !line.labels.includes("smoke")) && matches(line, words));
}

// What has no value sorts last, whichever way.
function sorted(lines, state) {
  const column = COLUMNS.find((candidate) => candidate.key === state.get("sort")) || COLUMNS[0];
  const sign = state.get("down") ? -1 : 1;
  const order = (a, b) => {
    const left = column.value(a) ?? null, right = column.value(b) ?? null;
    if (left === null || right === null) return (left === null) - (right === null);
    return sign * (column.numeric || column.key === "history" ? left - right : left.localeCompare(right));
  };
  const tie = (a, b) => a.name.localeCompare(b.name) || a.argumentText.localeCompare(b.argumentText, undefined, {numeric: true});
  return lines.slice().sort((a, b) => order(a, b) || tie(a, b));
}

function badges(line) {
  const latest = line.data.runs[line.row.run];
  const old = line.row.run !== line.data.newestRun[line.host];
  return [
    line.target && el("span.badge.target", {title: "row of the target table"}, line.target),
    line.labels.map((label) => el("span.badge.label", null, label)),
    old && el("span.badge.old", {title: "not part of this host's newest run"}, "of " + latest.time.slice(0, 10)),
  ];
}

function boundedTitle(row) {
  if (row.ratio_unit) return "What the target bounds, " + row.ratio_unit;
  return row.floor ? "Ratio to " + row.floor.name : "Ratio";
}

// A bar up to the ratio; the tick at 70 % of the width is the limit.
function ratioBar(line) {
  if (line.row.ratio === null || line.row.ratio === undefined) return MISSING;
  const bar = el("span.bar"), fill = el("span.fill." + (line.verdict || "unjudged"));
  const minimum = line.kind === "fuzz" || line.row.limit_sense === "min";
  if (line.use !== null) {
    const share = minimum ? 1 / line.use : line.use;
    fill.style.width = Math.min(100, share * 70) + "%";
    bar.append(fill, el("span.tick"));
  }
  return [el("span.ratio", null, ratioText(line.row.ratio, line.row.ratio_unit)), line.use === null ? null : bar];
}

function verdictCell(line) {
  if (line.verdict === "met") return el("span.verdict.met", null, "\u2713 met");
  if (line.verdict === "missed") return el("span.verdict.missed", null, "\u2717 missed");
  if (typeof line.row.limit === "number") {
    return el("span.muted", {title: "smoke and simulated rows are not held against targets"}, line.judged ? "not measured" : "not judged");
  }
  return MISSING;
}

function targetCell(line) {
  if (typeof line.row.limit !== "number") return verdictCell(line);
  return [verdictCell(line), el("small.limit", null, limitText(line.row.limit, line.kind === "fuzz" ? "min" : line.row.limit_sense, line.row.ratio_unit))];
}

function measuredCells(line) {
  return [
    el("td.number", null, el("b", null, time(line.median)), " ", el("small", null, line.unit + (line.clock === "wall" ? ", wall" : ""))),
    el("td.number", null, percent(line.spread)),
    el("td.number", null, time(line.times && line.times.p99)),
    el("td.number", {title: line.row.floor ? line.row.floor.name : null}, time(line.row.floor && line.row.floor.cpu_median)),
    el("td.ratio-cell", null, ratioBar(line)),
    el("td", null, targetCell(line)),
  ];
}

// The attributes of a row that opens and closes, by mouse and by keyboard.
function opening(state, id) {
  const toggle = () => {
    const others = state.get("open").filter((other) => other !== id);
    state.change({open: others.length < state.get("open").length ? others : [...others, id]});
  };
  const key = (event) => {
    if (event.target === event.currentTarget && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      toggle();
    }
  };
  return {"data-id": id, tabindex: 0, "aria-expanded": String(state.get("open").includes(id)), onclick: toggle, onkeydown: key};
}

function resultRow(line, data, state, showHost) {
  const open = state.get("open").includes(line.id);
  return el("tr.result" + (open ? ".open" : "") + (line.skipped ? ".is-skipped" : ""), opening(state, line.id),
    el("td.name", null, el("code", null, line.name), " ", badges(line),
      el("small", null, line.argumentText, showHost && " \u00b7 host " + data.hosts[line.host].id)),
    line.skipped ? el("td.skip", {colspan: 6}, el("span.badge.skipped", null, "skipped"), " ", line.skipped) : measuredCells(line),
    el("td.history", null, sparkline(line)));
}

function counterRows(line) {
  const counters = line.row.counters || {}, reasons = line.row.counter_reasons || {};
  return Object.entries(counters).map(([name, value]) => el("tr", null, el("td", null, el("code", null, name)),
    value === null || value === undefined ? el("td.muted", null, "not available: " + (reasons[name] || "no reason recorded"))
      : el("td.number", null, plainValue(value))));
}

function facts(pairs) {
  return el("dl.facts", null, pairs.filter((pair) => pair).map(([name, value]) => [el("dt", null, name), el("dd", null, value)]));
}

function lineFacts(line, data) {
  const row = line.row, run = data.runs[row.run], wall = row.wall && row.cpu ? row.wall : null;
  return facts([
    ["run", dateText(run.time) + " UTC"], ["commit", commitText(run)], ["host", data.hosts[line.host].id],
    ...Object.entries(line.arguments).map(([name, value]) => [name, value === null
      ? "not available: " + ((row.argument_reasons || {})[name] || "no reason recorded") : plainArgument(value)]),
    row.repetitions ? ["repetitions", grouped(row.repetitions) + " of " + grouped(row.items) + " items"] : null,
    line.times ? ["best", time(line.times.min) + " " + line.unit] : null,
    wall ? ["wall time", time(wall.median) + " \u00b1 " + time(wall.mad) + " " + line.unit] : null,
    row.floor ? ["floor", row.floor.name + ", " + time(row.floor.cpu_median) + " " + line.unit] : null,
  ]);
}

function exportLine(line) {
  const columns = ["main", "mad", "p99", "ratio"].map((name) => line.column(name));
  const rows = line.runs.map((index, point) => {
    const run = line.data.runs[index];
    return [run.time, run.id, run.commit, ...columns.map((column) => column[point]), line.skips.get(point) ?? ""];
  });
  download(line.name.replace(/[^\w.-]+/g, "_") + ".csv", "text/csv",
    csvText(["time", "run", "commit", "median (" + line.unit + ")", "mad", "p99", "ratio", "skipped"], rows));
}

function detailRow(line, data, state) {
  const pictures = el("div.pictures");
  const counters = counterRows(line);
  const row = el("tr.detail", {"data-for": line.id}, el("td", {colspan: COLUMNS.length}, el("div.detail-box", null, pictures,
    el("div.side", null, lineFacts(line, data), counters.length ? el("table.counters", null, el("caption", null, "Counters"), counters) : null,
      el("button", {type: "button", onclick: () => exportLine(line)}, "History as CSV")))));
  const draw = () => {
    pictures.append(el("h4", null, "Median, " + line.unit));
    drawChart(pictures, line, "main", state, {height: 220});
    if (line.series.ratio) {
      pictures.append(el("h4", null, boundedTitle(line.row)));
      drawChart(pictures, line, "ratio", state, {height: 140, quiet: true, limit: line.row.limit, sense: line.row.limit_sense, unit: line.row.ratio_unit});
    }
  };
  return {row, draw};
}

function tableHead(state) {
  return el("thead", null, el("tr", null, COLUMNS.map((column) => {
    const active = state.get("sort") === column.key, down = active && state.get("down");
    const press = () => state.change({sort: column.key, down: active ? !state.get("down") : Boolean(column.numeric)});
    return el("th" + (column.numeric && column.key !== "use" && column.key !== "ratio" ? ".number" : ""),
      {"aria-sort": active ? (down ? "descending" : "ascending") : "none", title: column.hint},
      el("button", {type: "button", onclick: press, "data-sort": column.key}, column.title,
        el("span.arrow", null, active ? (down ? "\u25be" : "\u25b4") : "")));
  })));
}

function renderTable(data, state) {
  const table = document.getElementById("table"), lines = sorted(filtered(data, state), state);
  dropCharts([table]);
  const showHost = chosenHost(data, state) < 0;
  const groups = state.get("group") === "none" ? [""] : [...new Set(lines.map((line) => line.backend))].sort();
  const waiting = [];
  const bodies = groups.map((group) => {
    const own = group === "" && state.get("group") === "none" ? lines : lines.filter((line) => line.backend === group);
    const head = state.get("group") === "none" ? null
      : el("tr.group", null, el("th", {colspan: COLUMNS.length, scope: "rowgroup"}, group || "no backend", el("span.count", null, own.length)));
    return el("tbody", {"data-group": group}, head, own.map((line) => {
      if (!state.get("open").includes(line.id)) return resultRow(line, data, state, showHost);
      const detail = detailRow(line, data, state);
      waiting.push(detail.draw);
      return [resultRow(line, data, state, showHost), detail.row];
    }));
  });
  const empty = lines.length ? null : el("tbody", null, el("tr", null, el("td.empty", {colspan: COLUMNS.length},
    data.lines.length ? "No benchmark matches." : "No benchmark rows.")));
  replace(table, tableHead(state), bodies, empty);
  waiting.forEach((draw) => draw());  // a chart needs its width, so only once it is in the page
  document.getElementById("shown").textContent = lines.length + " of " + data.lines.length;
}

function exportTable(data, state, format) {
  const lines = sorted(filtered(data, state), state);
  if (format === "json") {
    const rows = lines.map(({row, labels}) => ({...row, labels, run: data.runs[row.run], host: data.hosts[row.host].id}));
    download("sluice-latest.json", "application/json", JSON.stringify({schema: 1, rows}, null, 2) + "\n");
    return;
  }
  const header = ["name", "backend", "target", "arguments", "labels", "unit", "median", "mad", "p99", "floor", "ratio", "ratio_unit", "limit", "met",
    "skipped", "host", "run", "time", "commit"];
  download("sluice-latest.csv", "text/csv", csvText(header, lines.map((line) => {
    const {row} = line, run = data.runs[row.run], times = line.times || {};
    return [line.name, line.backend, line.target, line.argumentText, line.labels.join(" "), line.unit, times.median, times.mad, times.p99,
      row.floor && row.floor.cpu_median, row.ratio, row.ratio_unit, row.limit, row.met, line.skipped, data.hosts[row.host].id, run.id, run.time, run.commit];
  })));
}
