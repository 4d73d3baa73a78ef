// From the page's compact data to lines of history: columns are scaled integers, written as differences in base64 VLQ.
"use strict";

const VLQ = new Int8Array(128).fill(-1);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((digit, value) => {
  VLQ[digit.charCodeAt(0)] = value;
});

// The running sums of the differences in `text`; "." stands for no value.
function decodeSums(text) {
  const sums = [];
  let sum = 0, value = 0, scale = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      sums.push(null);
      continue;
    }
    const digit = VLQ[code];
    value += (digit & 31) * scale;  // not shifts: values may pass 2^31
    if (digit & 32) {
      scale *= 32;
      continue;
    }
    sum += value % 2 ? -(value - 1) / 2 : value / 2;
    sums.push(sum);
    value = 0;
    scale = 1;
  }
  return sums;
}

function decodeColumn(column, count) {
  if (!column) return new Array(count).fill(null);
  // Dividing by a power of ten gives the nearest double of the decimal number; multiplying by 0.001 would not.
  const unit = 10 ** Math.abs(column.e);
  return decodeSums(column.v).map((sum) => (sum === null ? null : column.e < 0 ? sum / unit : sum * unit));
}

// One line of history. Columns are decoded when first asked for.
class Line {
  constructor(data, series, kind) {
    const row = series.latest;
    this.kind = kind;
    this.series = series;
    this.row = row;
    this.name = row.name;
    this.backend = kind === "fuzz" ? row.engine : row.backend;
    this.target = row.target;
    this.unit = kind === "fuzz" ? "executions/s" : row.unit;
    this.host = row.host;
    this.arguments = row.arguments || {};
    this.argumentText = Object.entries(this.arguments).map(([key, value]) => key + "=" + plainArgument(value)).join(" ");
    this.labels = series.labels.slice();
    const fingerprint = data.hosts[row.host].fingerprint;
    if (fingerprint && fingerprint.synthetic_topology === true) this.labels.push("synthetic topology");
    this.skipped = row.skipped || null;
    this.times = row.cpu || row.wall || null;
    this.clock = row.cpu ? "cpu" : row.wall ? "wall" : null;
    this.id = shortHash([kind, this.name, this.backend, JSON.stringify(this.arguments), this.unit,
      series.labels.join(), data.hosts[row.host].id].join("\n"));
    this.data = data;
    this.cache = {};
  }

  column(name) {
    return this.cache[name] ??= decodeColumn(this.series[name], this.runs.length);
  }

  get runs() {
    return this.cache.at ??= decodeSums(this.data.points[this.series.at]);
  }

  // Seconds, as the charts count.
  get seconds() {
    return this.cache.seconds ??= this.runs.map((run) => this.data.runs[run].seconds);
  }

  // Point index -> reason.
  get skips() {
    return this.cache.skips ??= new Map(this.series.skips.map(([point, reason]) => [point, this.data.reasons[reason]]));
  }

  // Point indices at which the host's fingerprint is no longer that of the point before, with what changed.
  get breaks() {
    if (this.cache.breaks) return this.cache.breaks;
    const found = new Map();
    const runs = this.runs;
    for (const change of this.data.hosts[this.host].changes) {
      const point = runs.findIndex((run) => run >= change.run);
      if (point > 0) found.set(point, (found.get(point) || []).concat(change.what));
    }
    return this.cache.breaks = found;
  }

  get median() {
    return this.kind === "fuzz" ? this.row.executions_per_second : this.times ? this.times.median : null;
  }

  // The noise, as a share of the median.
  get spread() {
    return this.times && this.times.median > 0 ? this.times.mad / this.times.median : null;
  }

  // How much of its limit a ratio uses: above 1 is a miss, whichever way the limit points.
  get use() {
    const {ratio, limit, limit_sense: sense} = this.row;
    if (typeof ratio !== "number" || typeof limit !== "number" || !ratio || !limit) return null;
    return this.kind === "fuzz" || sense === "min" ? limit / ratio : ratio / limit;
  }

  get judged() {
    return !this.labels.includes("smoke") && !this.row.simulated;
  }

  get verdict() {
    if (this.skipped) return "skipped";
    if (!this.judged || typeof this.row.met !== "boolean") return null;
    return this.row.met ? "met" : "missed";
  }
}

function plainArgument(value) {
  if (value === null) return MISSING;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function loadData() {
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const run of data.runs) run.seconds = Date.parse(run.time) / 1000;
  data.lines = data.benchmarks.map((series) => new Line(data, series, "benchmark"));
  data.fuzzLines = data.fuzz.map((series) => new Line(data, series, "fuzz"));
  return data;
}
