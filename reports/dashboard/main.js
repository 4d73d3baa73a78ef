// Puts the page together and keeps it in step with the state.
"use strict";

// The chosen host's index; -1 for all. A link that names an unknown host shows the newest run's.
function chosenHost(data, state) {
  if (state.get("host") === "all") return -1;
  const index = data.hosts.findIndex((host) => host.id === state.get("host"));
  return index >= 0 ? index : data.newestHost;
}

function newestRuns(data) {
  data.newestRun = data.hosts.map(() => -1);
  data.newestHost = 0;
  let newest = -1;
  for (const row of [...data.lines.map((line) => line.row), ...data.fuzzLines.map((line) => line.row), ...data.differential, ...data.tests, ...data.skips]) {
    data.newestRun[row.host] = Math.max(data.newestRun[row.host], row.run);
    if (row.run > newest) [newest, data.newestHost] = [row.run, row.host];
  }
  // These say nothing of a host: they make no row of another run look old, and are a page of their own where they are all there is.
  for (const row of [...data.alternatives, ...data.simulations]) {
    if (newest < 0) data.newestHost = row.host;
    if (data.newestRun[row.host] < 0) data.newestRun[row.host] = row.run;
  }
}

function renderHeader(data, state) {
  const host = chosenHost(data, state), shown = host >= 0 ? data.hosts[host] : null;
  const run = data.runs[shown ? data.newestRun[host] : data.runs.length - 1];
  const fingerprint = shown && shown.fingerprint;
  const parts = [run && dateText(run.time) + " UTC", run && commitText(run)];
  if (fingerprint) {
    parts.push(fingerprint.cpu, fingerprint.kernel && "Linux " + fingerprint.kernel,
      fingerprint.kvm_flavour && "KVM: " + fingerprint.kvm_flavour, fingerprint.synthetic_topology === true && "synthetic topology");
  } else if (!shown) {
    parts.push(data.hosts.length + " hosts");
  }
  document.getElementById("subtitle").textContent = parts.filter(Boolean).join("  \u00b7  ");
}

function renderControls(data, state) {
  const select = document.getElementById("host"), host = chosenHost(data, state);
  replace(select, data.hosts.map((one, index) => el("option", {value: one.id, selected: index === host},
    one.id + (one.fingerprint && one.fingerprint.cpu ? " \u00b7 " + one.fingerprint.cpu : ""))),
  data.hosts.length > 1 ? el("option", {value: "all", selected: host < 0}, "all hosts, side by side") : null);
  for (const [id, key] of [["missed", "missed"], ["targets", "targets"], ["nosmoke", "nosmoke"]]) document.getElementById(id).checked = state.get(key);
  const search = document.getElementById("search");
  if (search.value !== state.get("q")) search.value = state.get("q");
  document.getElementById("group").value = state.get("group");
  document.getElementById("log").setAttribute("aria-pressed", String(state.get("log")));
  document.getElementById("unzoom").hidden = !state.get("zoom");
  const theme = state.get("theme");
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme[0].toUpperCase() + theme.slice(1);
}

function renderNavigation() {
  const links = [...document.querySelectorAll("main section")].filter((node) => !node.hidden && node.querySelector("h2"))
    .map((node) => el("a", {href: "#" + node.id, onclick: (event) => {
      event.preventDefault();  // the hash holds the view, not a place
      node.scrollIntoView({behavior: "smooth"});
    }}, node.querySelector("h2").textContent));
  replace(document.getElementById("sections"), links);
}

function renderFooter(data) {
  document.getElementById("footer").textContent = "Made by sluice site from " + data.runs.length + (data.runs.length === 1 ? " run" : " runs") +
    ". Latest results are exact; trends keep four significant digits" +
    (data.left_out ? " and the newest points of each line, " + grouped(data.left_out) + " older ones are left out" : "") +
    ". rows.jsonl beside this page holds every row in full, summary.json the totals.";
}

function connect(data, state) {
  const on = (id, event, action) => document.getElementById(id).addEventListener(event, action);
  on("host", "change", (event) => state.change({host: event.target.value}));
  on("search", "input", (event) => state.change({q: event.target.value}));
  on("group", "change", (event) => state.change({group: event.target.value}));
  for (const key of ["missed", "targets", "nosmoke"]) on(key, "change", (event) => state.change({[key]: event.target.checked}));
  on("log", "click", () => state.change({log: !state.get("log")}));
  on("unzoom", "click", () => state.change({zoom: null}));
  on("theme", "click", () => state.change({theme: THEMES[(THEMES.indexOf(state.get("theme")) + 1) % THEMES.length]}));
  on("csv", "click", () => exportTable(data, state, "csv"));
  on("json", "click", () => exportTable(data, state, "json"));
  addEventListener("resize", resizeCharts);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rescaleCharts);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) {
      event.preventDefault();
      document.getElementById("search").focus();
    }
  });
}

// Opening a row must not lose the place or redraw every trend, so each part redraws only for what it depends on.
function update(data, state, changed) {
  const any = (...keys) => keys.some((key) => changed.has(key));
  renderControls(data, state);
  if (any("host")) {
    renderHeader(data, state);
    [renderTiles, renderFuzz, renderDifferential, renderTests, renderGate, renderSkipped, renderHosts].forEach((render) => render(data, state));
  }
  const focus = document.activeElement && document.activeElement.closest("tr[data-id]");
  if (any("open")) renderAlternatives(data, state);
  const selection = any("host", "q", "missed", "targets", "nosmoke", "group", "sort", "down", "log");
  if (selection || any("open")) {
    renderTable(data, state);
    if (focus) document.querySelector(`tr[data-id="${focus.dataset.id}"]`)?.focus({preventScroll: true});
  }
  if (selection) renderTrends(data, state);
  if (any("host")) renderNavigation();  // when it is known which sections are empty
  if (any("zoom", "theme") && !selection) rescaleCharts();
}

function start() {
  const data = loadData(), state = new State();
  newestRuns(data);
  connect(data, state);
  state.listen((changed) => update(data, state, changed));
  renderFooter(data);
  renderScaling(data);
  update(data, state, new Set(Object.keys(DEFAULTS)));
  window.sluice = {data, state, charts};  // for a look from the browser's console, and for the tests
  document.documentElement.dataset.ready = "1";
}

start();
