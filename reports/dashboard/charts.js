// Charts: a sparkline in the table, and uPlot charts of a line's history with its noise band, the breaks at changes of the
// host, the limit of its target, and the runs in which it was skipped.
"use strict";

const charts = new Set();  // every live uPlot, for zoom, theme and width

const colors = new Map();  // of the present theme: asking the page for each stroke of 200 charts would cost seconds

function color(name) {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim());
  return colors.get(name);
}

// At most one vertex per 2 pixels: the median of the points that fall there. Breaks and gaps split the path.
function sparkline(line) {
  const width = 120, height = 26, values = line.column("main");
  const picture = svg("svg", {class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
  const known = values.filter((value) => value !== null);
  if (!known.length) return picture;
  const low = Math.min(...known), high = Math.max(...known);
  const middle = (low + high) / 2, span = Math.max(high - low, middle * 0.1) || 1;
  const slots = Math.min(values.length, 60), segments = [[]];
  for (let slot = 0; slot < slots; slot++) {
    const from = Math.floor(slot * values.length / slots), to = Math.floor((slot + 1) * values.length / slots);
    for (let point = from; point < to; point++) if (line.breaks.has(point)) segments.push([]);
    const inside = values.slice(from, to).filter((value) => value !== null).sort((a, b) => a - b);
    if (!inside.length) {
      segments.push([]);
      continue;
    }
    const x = slots === 1 ? width / 2 : 3 + slot * (width - 6) / (slots - 1);
    const y = height / 2 - (inside[inside.length >> 1] - middle) / span * (height - 8);
    segments[segments.length - 1].push([x.toFixed(1), y.toFixed(1)]);
  }
  const path = segments.filter((points) => points.length).map((points) =>
    "M" + points.map((point) => point.join(" ")).join("L") + (points.length === 1 ? "h.01" : "")).join("");
  picture.append(svg("path", {d: path}));
  const [x, y] = segments.filter((points) => points.length).pop().slice(-1)[0];
  picture.append(svg("circle", {cx: x, cy: y, r: 2}));
  return picture;
}

// Columns for uPlot. At a break a point without a value goes in between, so that no line crosses it.
function chartData(line, column) {
  const xs = [], values = [], lows = [], highs = [], points = [];
  const main = line.column(column), mad = column === "main" ? line.column("mad") : null, seconds = line.seconds;
  for (let i = 0; i < main.length; i++) {
    if (line.breaks.has(i)) {
      xs.push((seconds[i - 1] + seconds[i]) / 2);
      values.push(null);
      lows.push(null);
      highs.push(null);
      points.push(-1);
    }
    xs.push(seconds[i]);
    values.push(main[i]);
    const band = mad && main[i] !== null && mad[i] !== null;
    lows.push(band ? Math.max(main[i] - mad[i], main[i] * 0.01) : null);  // a log axis has no zero
    highs.push(band ? main[i] + mad[i] : null);
    points.push(i);
  }
  return {columns: [xs, values, lows, highs], points};
}

function drawVertical(u, x, text, y) {
  const at = Math.round(u.valToPos(x, "x", true));
  if (at < u.bbox.left || at > u.bbox.left + u.bbox.width) return;
  u.ctx.beginPath();
  u.ctx.moveTo(at, u.bbox.top);
  u.ctx.lineTo(at, u.bbox.top + u.bbox.height);
  u.ctx.stroke();
  if (text) u.ctx.fillText(text, at + 4 * devicePixelRatio, u.bbox.top + y);
}

// A point with no neighbour has no band to be seen, so its spread is drawn as a stroke.
function drawWhiskers(u) {
  const [xs, values, lows, highs] = u.data;
  for (let i = 0; i < xs.length; i++) {
    const alone = (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
    if (!alone || lows[i] === null) continue;
    const x = Math.round(u.valToPos(xs[i], "x", true));
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.valToPos(lows[i], "y", true));
    u.ctx.lineTo(x, u.valToPos(highs[i], "y", true));
    u.ctx.stroke();
  }
}

function drawMarks(u, line, options) {
  const ctx = u.ctx, ratio = devicePixelRatio, {left, top, width, height} = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.lineWidth = ratio;
  ctx.font = `${10 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.strokeStyle = ctx.fillStyle = color("muted");
  drawWhiskers(u);
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  for (const [point, what] of line.breaks) {
    const x = (line.seconds[point - 1] + line.seconds[point]) / 2;
    const text = what.length === 1 ? what[0] : what[0] + " and " + (what.length - 1) + " more";
    drawVertical(u, x, options.quiet ? "" : text, 3 * ratio);
  }
  ctx.setLineDash([]);
  for (const point of line.skips.keys()) {
    const x = u.valToPos(line.seconds[point], "x", true);
    ctx.beginPath();
    ctx.arc(x, top + height - 5 * ratio, 2.5 * ratio, 0, 7);
    ctx.stroke();
  }
  if (typeof options.limit === "number") {
    const y = Math.round(u.valToPos(options.limit, "y", true));
    ctx.strokeStyle = ctx.fillStyle = color("missed");
    ctx.setLineDash([2 * ratio, 2 * ratio]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    const below = y - top < 14 * ratio;
    ctx.fillText("limit " + limitText(options.limit, options.sense, options.unit), left + 4 * ratio, below ? y + 3 * ratio : y - 13 * ratio);
  }
  ctx.restore();
}

// A linear axis spans at least a tenth of the value, so that noise looks as small as it is.
function linearRange(limit) {
  return (u, low, high) => {
    if (low === null || high === null) return [0, 1];
    if (typeof limit === "number") [low, high] = [Math.min(low, limit), Math.max(high, limit)];
    const middle = (low + high) / 2, half = Math.max((high - low) / 2 * 1.15, Math.abs(middle) * 0.05) || 1;
    return [middle - half, middle + half];
  };
}

// "10-04" for days, "04:30" within a day; the year where it is first seen.
function timeLabels(u, splits, axis, space, step) {
  let year = "";
  return splits.map((seconds) => {
    const iso = new Date(seconds * 1000).toISOString();
    const text = step >= 86400 ? iso.slice(5, 10) : iso.slice(11, 16) === "00:00" ? iso.slice(5, 10) : iso.slice(11, 16);
    const first = iso.slice(0, 4) !== year;
    year = iso.slice(0, 4);
    return first ? year + "-" + iso.slice(5, 10) : text;
  });
}

function timeRange(state) {
  return (u) => {
    const zoom = state.get("zoom"), times = u.data[0];
    if (zoom) return zoom;
    if (!times.length) return [0, 1];
    const low = times[0], high = times[times.length - 1];
    const margin = Math.max((high - low) * 0.03, 3600);
    return [low - margin, high + margin];
  };
}

function readoutText(line, column, point) {
  const run = line.data.runs[line.runs[point]], when = dateText(run.time) + ", " + commitText(run);
  if (line.skips.has(point)) return when + ": skipped, " + line.skips.get(point);
  const value = line.column(column)[point];
  if (value === null) return when + ": no value";
  if (column === "ratio") return when + ": " + ratioText(value, line.row.ratio_unit);
  const mad = line.column("mad")[point];
  return when + ": " + time(value) + (mad === null ? "" : " \u00b1 " + time(mad)) + " " + line.unit;
}

// Draws `column` of the line into `box`. options: height, width (asked from the page if absent), limit, sense; quiet leaves the words at breaks
// out where there is no room for them.
function drawChart(box, line, column, state, options) {
  const {columns, points} = chartData(line, column);
  const readout = el("p.readout", null, "\u00a0"), holder = el("div.plot");
  box.append(readout, holder);
  const axis = {stroke: () => color("muted"), font: "11px system-ui, sans-serif", grid: {stroke: () => color("grid"), width: 1},
    ticks: {show: false}};
  const band = {stroke: "transparent", points: {show: false}, spanGaps: false};
  const plot = new uPlot({
    width: options.width || Math.max(holder.clientWidth, 200), height: options.height,
    legend: {show: false},
    padding: [6, 20, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: {
      x: {time: true, range: timeRange(state)},
      y: state.get("log") ? {distr: 3, log: 10} : {range: linearRange(options.limit)},
    },
    axes: [{...axis, space: 74, size: 28, values: timeLabels}, {...axis, size: 64, space: options.height < 200 ? 22 : 30, values: (u, splits) => splits.map((value) => (value === null ? "" : number(value)))}],
    series: [{}, {stroke: () => color("line"), width: 1.5, spanGaps: false, points: {show: columns[0].length < 40, size: 5}}, band, band],
    bands: [{series: [3, 2], fill: () => color("band")}],
    cursor: {
      points: {show: (u, i) => i === 1},
      drag: {x: true, y: false, setScale: false},
      bind: {dblclick: () => () => state.change({zoom: null})},
    },
    hooks: {
      draw: [(u) => drawMarks(u, line, options)],
      setSelect: [(u) => {
        if (u.select.width < 4) return;
        const zoom = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
        u.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
        state.change({zoom: zoom.map(Math.round)});
      }],
      setCursor: [(u) => {
        const index = u.cursor.idx, point = index === null || index === undefined ? -1 : points[index];
        readout.textContent = point >= 0 && u.cursor.left >= 0 ? readoutText(line, column, point) : "\u00a0";
      }],
    },
  }, columns, holder);
  const chart = {plot, holder, line, height: options.height};
  charts.add(chart);
  return chart;
}

function dropCharts(boxes) {
  for (const chart of charts) {
    if (!boxes || boxes.some((box) => box.contains(chart.holder))) {
      chart.plot.destroy();
      charts.delete(chart);
    }
  }
}

function rescaleCharts() {
  colors.clear();
  for (const {plot} of charts) plot.setData(plot.data, true);
}

function resizeCharts() {
  for (const {plot, holder, height} of charts) {
    if (holder.clientWidth > 0 && holder.clientWidth !== plot.width) plot.setSize({width: holder.clientWidth, height});
  }
}
