// Text, numbers and elements. Every string from a row reaches the page as a text node or an attribute value, never as
// markup: there is no innerHTML in this program.
"use strict";

const MISSING = "\u2013";

// el("td.number", {title: "..."}, child, ...): children are strings, numbers, nodes, arrays or null.
function el(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function replace(node, ...children) {
  node.textContent = "";
  return append(node, children);
}

// Four significant digits, grouped thousands; what was not measured is a dash, never a zero.
function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return grouped(value);
  if (size < 0.001) return value.toExponential(2);
  return value.toPrecision(4).replace(/(\.\d*?[1-9])0+$|\.0+$/, "$1");
}

// Fixed decimals by size, so that numbers of a column line up.
function time(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const size = Math.abs(value);
  if (size >= 1000) return grouped(value);
  if (size !== 0 && size < 0.01) return value.toPrecision(2);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

function grouped(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

function compact(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const step = steps.find(([size]) => Math.abs(value) >= size);
  return step ? Number((value / step[0]).toPrecision(3)) + " " + step[1] : number(value);
}

// `unit` is set where the number is no ratio to a floor.
function ratioText(value, unit) {
  return value === null || value === undefined ? MISSING
    : (value >= 100 ? grouped(value) : value.toPrecision(3)) + (unit ? " " + unit : "\u00d7");
}

function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const share = value * 100;
  return (share >= 10 ? share.toFixed(0) : share >= 0.1 || share === 0 ? share.toFixed(1) : "<0.1") + "%";
}

function limitText(limit, sense, unit) {
  return (sense === "min" ? "\u2265 " : "\u2264 ") + number(limit) + (unit ? " " + unit : "\u00d7");
}

function dateText(iso) {
  return iso ? iso.slice(0, 16).replace("T", " ") : MISSING;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  if (seconds < 120) return number(Math.round(seconds)) + " s";
  return seconds < 7200 ? Math.round(seconds / 60) + " min" : (seconds / 3600).toFixed(1) + " h";
}

function commitText(run) {
  if (!run || !run.commit) return "no commit";
  return run.commit.slice(0, 10) + (run.dirty ? " + local changes" : "");
}

function bytesText(bytes) {
  const step = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"]].find(([size]) => bytes >= size);
  return step ? number(bytes / step[0]) + " " + step[1] : grouped(bytes) + " bytes";
}

function plainValue(value) {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === "number") return Number.isInteger(value) ? grouped(value) : number(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// A short name for a permalink: the same text gives the same name in every page.
function shortHash(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  let second = 5381;
  for (let i = 0; i < text.length; i++) second = (Math.imul(second, 33) + text.charCodeAt(i)) >>> 0;
  return hash.toString(36) + second.toString(36);
}

// A spreadsheet runs cells that start like a formula, so such text gets an apostrophe in front.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}

function csvText(header, rows) {
  return [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function download(name, type, text) {
  const link = el("a", {href: URL.createObjectURL(new Blob([text], {type})), download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
