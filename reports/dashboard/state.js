// What the reader has chosen, kept in the URL's hash so that a link shows the same view.
"use strict";

const DEFAULTS = {
  host: "", q: "", missed: false, targets: false, nosmoke: false, group: "backend", sort: "name", down: false,
  open: [], log: false, theme: "auto", zoom: null,
};
const THEMES = ["auto", "light", "dark"];

function parseState(hash) {
  const state = {...DEFAULTS, open: []};
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  for (const key of ["missed", "targets", "nosmoke", "down", "log"]) state[key] = given.get(key) === "1";
  for (const key of ["host", "q", "sort"]) state[key] = given.get(key) ?? DEFAULTS[key];
  if (given.get("group") === "none") state.group = "none";
  if (THEMES.includes(given.get("theme"))) state.theme = given.get("theme");
  if (given.get("open")) state.open = given.get("open").split(".").filter((id) => /^[0-9a-z]+$/.test(id));
  const zoom = (given.get("zoom") || "").split("-").map(Number);
  if (zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1]) state.zoom = zoom;
  return state;
}

function formatState(state) {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "open") {
      if (value.length) parts.set(key, value.join("."));
    } else if (key === "zoom") {
      if (value) parts.set(key, value.map(Math.round).join("-"));
    } else if (value !== DEFAULTS[key]) {
      parts.set(key, value === true ? "1" : String(value));
    }
  }
  return parts.toString();
}

// change({key: value}) stores, writes the hash, and calls every listener with the keys that changed.
class State {
  constructor() {
    this.values = parseState(location.hash);
    this.listeners = [];
    addEventListener("hashchange", () => this.adopt(parseState(location.hash)));
  }

  get(key) {
    return this.values[key];
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  change(values) {
    this.adopt({...this.values, ...values});
    const hash = formatState(this.values);
    if (location.hash.replace(/^#/, "") !== hash) {
      history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
    }
  }

  adopt(values) {
    const changed = Object.keys(values).filter((key) => JSON.stringify(values[key]) !== JSON.stringify(this.values[key]));
    this.values = values;
    if (changed.length) this.listeners.forEach((listener) => listener(new Set(changed)));
  }
}
