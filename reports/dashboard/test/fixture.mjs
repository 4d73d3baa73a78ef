// Rows for the browser test: made up, so every number that the test looks for is known. Nothing here was measured.

export const HOST_A = "00000000000000a1";
export const HOST_B = "00000000000000b2";
export const HOSTILE_NAME = 'model/<img src=x onerror="window.hacked=1">';
export const HOSTILE_REASON = "</script><script>window.hacked=2</script>";
export const RUNS_A = 40;  // of host A; host B has the first 10
export const BREAK_AT = 25;  // host A boots another kernel at this run
const DAY = 86400;
const START = Date.parse("2026-10-01T02:00:00Z") / 1000;

// A small generator of repeatable noise in (-1, 1).
function noise(seed) {
  const x = Math.sin(seed * 12.9898) * 43758.5453;
  return 2 * (x - Math.floor(x)) - 1;
}

const iso = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + "Z";
const round = (value) => Number(value.toPrecision(6));

function head(kind, run, host, offset = 0) {
  const time = START + run * DAY + (host === HOST_B ? 3600 : 0);
  return {schema: 1, kind, run: iso(time) + "-" + host.slice(-2), time: iso(time + offset),
    commit: (run + 4096).toString(16).padStart(40, "3f"), dirty: false, host};
}

function fingerprint(run, host) {
  const kernel = host === HOST_A ? (run < BREAK_AT ? "6.18.44" : "6.18.52") : "6.12.117";
  return {kernel, cpu: host === HOST_A ? "Intel Xeon 8375C" : "AMD EPYC 9555", microcode: "0xd0003e7", cores: host === HOST_A ? 2 : 64,
    numa_nodes: host === HOST_A ? 1 : 2, memory_bytes: 25769803776, huge_pages: {"2M": 0, "1G": 0, thp: "madvise"},
    mitigations: {spectre_v2: "Mitigation: Enhanced IBRS; IBPB: conditional", meltdown: "Not affected", mds: "Not affected"},
    kvm_flavour: host === HOST_A ? "shadow paging, " + kernel : null, governor: null, compiler: "clang 19.1.7",
    synthetic_topology: host === HOST_B};
}

const BENCHMARKS = [
  {name: "model/rmpupdate/4K/sequential", target: "M1", limit: 8, base: 1.83, floor: ["floor/rmp_store", 0.262]},
  {name: "model/rmpupdate/4K/random", base: 4.1, floor: ["floor/rmp_store_random", 1.31]},
  {name: "model/rmpupdate/2M/sequential", base: 61.7, floor: ["floor/rmp_store", 0.262], page: "2M"},
  {name: "model/psmash/sequential", base: 402.5, floor: ["floor/rmp_store", 0.262]},
  {name: "model/pvalidate/4K/sequential", base: 3.02, floor: ["floor/rmp_store", 0.262]},
  {name: "model/convert/1GiB/4K", target: "M4", limit: 15, base: 24.9, floor: ["floor/convert", 1.44]},
  {name: "model/premap/1GiB/4K", target: "M5", limit: 15, base: 13.2, floor: ["floor/premap", 1.12]},
  {name: "model/reset/16", target: "M8", limit: 0.15, base: 31.4, floor: ["model/run/16", 268.4], unit: "ns/reset"},
  {name: "model/apply/mix", target: "M2", limit: 20, base: 17.9, unit: "ns/operation", bounds: "ns/operation"},
  {name: "model/premap/gmem_2M", base: 0.052, label: "ahead of mainline", page: "2M"},
  {name: "model/simulate/convert/256", base: 118.2, simulated: true, unit: "ns/page"},
  {name: "kvm/gmem_populate/4K", backend: "kvm", base: 812.4, noise: 0.06, floor: ["floor/memset_page", 96.1]},
  {name: "kvm/gmem_punch/4K", backend: "kvm", base: 205.3, noise: 0.06},
  {name: "kvm/demand_fault/4K", backend: "kvm", base: 3412, noise: 0.08, threads: 2},
  {name: "kvm/memslot_add_delete", backend: "kvm", target: "B1", limit: 1.02, base: 48211, noise: 0.05, unit: "ns/pair", floor: ["floor/memslot_c_loop", 47912]},
  {name: "kvm/exit_round_trip", backend: "kvm", base: 1543.2, noise: 0.04, unit: "ns/exit"},
  {name: "kvm/vm_create", backend: "kvm", base: 1843210, noise: 0.1, unit: "ns/vm"},
];

function benchmark(spec, index, run, host) {
  const step = spec.name === "model/psmash/sequential" && run >= 30 ? 1.22 : 1;
  const slower = host === HOST_B ? 0.7 : 1, spread = spec.noise || 0.015;
  const median = round(spec.base * step * slower * (1 + spread * noise(run * 31 + index * 7 + (host === HOST_B ? 3 : 0))));
  const last = host === HOST_A && run === RUNS_A - 1 && index === 0;  // the numbers that the test reads off the page
  const value = last ? 1.834 : median;
  const floor = spec.floor ? {name: spec.floor[0], cpu_median: last ? 0.262 : round(spec.floor[1] * slower)} : null;
  const ratio = spec.bounds ? value : floor ? value / floor.cpu_median : null;
  return {...head("benchmark", run, host, index + 5), name: spec.name, backend: spec.backend || "model", target: spec.target || null,
    arguments: {pages: 262144, page_size: spec.page || "4K", threads: spec.threads || 1, cpu_node: 0, memory_node: 0}, argument_reasons: {},
    unit: spec.unit || "ns/page", items: 262144, repetitions: 21,
    cpu: {median: value, p99: round(value * 1.21), min: round(value * 0.96), mad: round(value * spread / 2)},
    wall: {median: round(value * 1.01), p99: round(value * 1.4), min: value, mad: round(value * spread)},
    floor, ratio, ratio_unit: spec.bounds || null, limit: spec.limit ?? null, limit_sense: "max", met: spec.limit && ratio !== null ? ratio <= spec.limit : null,
    counters: {instructions: null, page_faults: 0, rmpupdate: 262144},
    counter_reasons: {instructions: "no hardware counters on this host (ENOENT)"},
    simulated: spec.simulated || false, label: spec.label || null, smoke: false, skipped: null};
}

function skippedBenchmark(run, host, name, reason, fields = {}) {
  return {...benchmark({name, backend: "kvm", base: 1}, 50, run, host), cpu: null, wall: null, floor: null, ratio: null, met: null,
    repetitions: 0, counters: {}, counter_reasons: {}, skipped: reason, ...fields};
}

function fuzz(name, engine, run, host, rate, empty, limit, fields = {}) {
  const measured = Math.round(rate * (1 + 0.05 * noise(run * 5 + rate)));
  return {...head("fuzz", run, host, 600), name, engine, seconds: 60, executions: measured * 60, executions_per_second: measured,
    empty_executions_per_second: empty, ratio: measured / empty, target: limit ? "F1" : null, limit, met: limit ? measured / empty >= limit : null,
    corpus_entries: 1200 + run * 3, features: 8000 + run * 11, findings: [], acting_share: 0.934, skipped: null, ...fields};
}

function differential(run, host) {
  return {...head("differential", run, host, 700), backend: "kvm", sequences: 214,
    compared: {errno: 1842, progress: 311, exits: 97, contents: 640}, uncomparable: {errno: 12, rmp: 1900, exits: 4},
    mismatches: host === HOST_B ? [{file: "corpora/regressions/prefault_order.ops", line: 7, field: "errno", model: "EINVAL", kvm: "EOPNOTSUPP"}] : [],
    skipped_steps: {"KVM_SET_MEMORY_ATTRIBUTES: ENOTTY": 320, "park is not for the real kernel": 41}};
}

function randomDifferential(run, host) {
  return {...head("differential", run, host, 710), backend: "kvm", random: {seed: 7, first: 1000, count: 500, acting_share: 0.62}, sequences: 500,
    compared: {errno: 5000}, uncomparable: {}, mismatches: [], skipped_steps: {}};
}

function selftest(run, host, name, verdict, seconds, reason = "") {
  return {...head("test", run, host, 750), suite: "kvm-selftests", name, verdict, seconds, reason};
}

const TOUR = {interleavings: 287, complete: true, preemptions_max: 2, interleavings_max: 5000};

function alternative(run, host, axis, value, verdict, fields = {}) {
  const {nanoseconds = 13231.5625, of_default = 1, arrived = 64, of_try = null, counts = {}, ...others} = fields;
  return {...head("alternative", run, host, 800), axis, summary: "about " + axis, value, default: false, flavor: "plain", policy: axis + "=" + value, verdict,
    reason: "", file: "corpora/alternatives/" + axis + "/tour.ops", invariant: "", counterexample: null,
    explored: verdict === "nothing_found" ? {policy: axis + "=" + value, ...TOUR} : null,
    cost: {workload: "convert", pages: 64, arrived, frames_when_shared: 64, frames_when_private: 128, counts: {rmpupdate: 192, tlb_flush: 2, psmash: 0, ...counts},
      nanoseconds_a_page: arrived === 64 ? nanoseconds : null, nanoseconds_a_try: of_try, of_default: arrived === 64 ? of_default : null, prices: null}, ...others};
}

export const COUNTEREXAMPLE = {text: "# policy: direct_map=leave\ncreate_vm type=snp\nkernel_write park=1\n",
  steps: [{operation: "create_vm type=snp", answer: "ok"}, {operation: "kernel_write park=1", answer: "<img src=x onerror=window.hacked=5>"}],
  at_end: true, statement: "The host never writes to an assigned frame.", finding: "FINDING host.lives (H2): it does [subject 0x202]"};
const BROKEN = {file: "corpora/alternatives/direct_map/leave.ops", invariant: "H2 host.lives", counterexample: COUNTEREXAMPLE};

// One axis also as an older run on another host had it, with a value that is gone.
export function alternatives() {
  const last = RUNS_A - 1;
  return [
    alternative(2, HOST_B, "direct_map", "gone", "nothing_found"),
    alternative(last, HOST_A, "direct_map", "split", "nothing_found", {default: true, policy: ""}),
    alternative(last, HOST_A, "direct_map", "leave", "broken", {...BROKEN, arrived: 3, counts: {rmpupdate: 7}}),
    alternative(last, HOST_A, "direct_map", "unmap", "nothing_found", {nanoseconds: 21231.5, of_default: 1.6046, counts: {tlb_flush: 130},
      explored: {policy: "", ...TOUR, interleavings: 5000, complete: false}}),
    alternative(last, HOST_A, "direct_map", "old", "stale", {reason: HOSTILE_REASON}),
    alternative(last, HOST_A, "direct_map", "new", "not_shown", {file: ""}),
    alternative(last, HOST_A, "npf_mismatch", "exit", "nothing_found", {default: true}),
    alternative(last, HOST_A, "npf_mismatch", "exit", "nothing_found", {default: true, flavor: "tdx", cost: null}),
    alternative(last, HOST_A, "npf_mismatch", "auto_convert", "nothing_found"),
    alternative(last, HOST_A, "npf_mismatch", "auto_convert", "broken", {...BROKEN, flavor: "tdx", cost: null}),
    alternative(last, HOST_A, "npf_mismatch", "kill", "nothing_found", {arrived: 0, of_try: 1390}),
  ];
}

function simulation(run, workload, policy, vcpus, speed, waited, fields = {}) {
  return {...head("simulation", run, HOST_A, 850), workload, vcpus, nodes: 1, topology: null, placement: "local", policy, pages_a_vcpu: 64, seed: 1, prices: null,
    requests: 64 * vcpus, pages: 64 * vcpus, refused: 0, events: 1000, virtual_ns: 1e6, pages_per_second: speed,
    latency_ns: {p50: 17380, p90: 17380, p99: 26650, "p99.9": 30000, max: 31000},
    locks: [{name: "slots_lock", taken: 9, contended: 8, waited_ns: waited * 1e6 * vcpus, held_ns: 5},
      {name: "idle_lock", taken: 9, contended: 0, waited_ns: 0, held_ns: 5}], ...fields};
}

export function simulations() {
  const last = RUNS_A - 1;
  return [
    simulation(last, "ping_pong", "", 16, 135620, 0.76), simulation(last, "ping_pong", "", 1, 57537, 0), simulation(last, "ping_pong", "", 4, 152314, 0.14),
    simulation(last, "ping_pong", "vmm=<b>kill", 1, 40000, 0), simulation(last, "ping_pong", "vmm=<b>kill", 16, 0, 0, {refused: 12}),
    simulation(last - 1, "boot_eager", "", 1, 700000, 0), simulation(last, "boot_eager", "", 1, 699989, 0), simulation(last, "boot_eager", "", 2, 1399978, 0),
    simulation(last, "premap", "", 4, 5000, 0, {nodes: 2, topology: {name: "pack:2 <i>core:4", processors: [4, 4], distances: null, remote_factor: [[1, 1.7], [1.7, 1]]}}),
  ];
}

export function rows() {
  const all = [...alternatives(), ...simulations()];
  for (const [host, count] of [[HOST_A, RUNS_A], [HOST_B, 10]]) {
    for (let run = 0; run < count; run++) {
      all.push({...head("host", run, host), fingerprint: fingerprint(run, host),
        fingerprint_reasons: {governor: "no cpufreq on this host", kvm_flavour: "no /dev/kvm"}});
      BENCHMARKS.forEach((spec, index) => {
        // A benchmark that was skipped for three runs in between leaves a gap, not zeros.
        if (spec.name === "kvm/exit_round_trip" && run >= 12 && run < 15) {
          all.push(skippedBenchmark(run, host, spec.name, "/dev/kvm: permission denied", {unit: spec.unit}));
        } else {
          all.push(benchmark(spec, index, run, host));
        }
      });
      all.push({...benchmark({name: "model/rmpupdate/4K/sequential", base: 9}, 60, run, host), smoke: true});
      all.push(skippedBenchmark(run, host, "kvm/convert/4K", "KVM_CAP_MEMORY_ATTRIBUTES=0"));
      all.push(skippedBenchmark(run, host, "kvm/pre_fault/4K", "KVM_CAP_PRE_FAULT_MEMORY=0"));
      all.push({...head("skip", run, host, 2), name: "hardware counters", reason: "perf_event_open: ENOENT (no PMU)"});
      all.push({...head("skip", run, host, 2), name: "second NUMA node", reason: "this host has one node"});
      all.push(fuzz("fuzz_sequence", "libfuzzer", run, host, 268000, 2900000, 0.1));
      all.push(fuzz("fuzz_codec", "libfuzzer", run, host, 1450000, 2900000, null));
      all.push(fuzz("fuzz_sequence", "afl", run, host, 41000, 43000, 0.9, host === HOST_A && run === RUNS_A - 1
        ? {findings: [{invariant: "rmp.assigned_implies_single_npt_leaf", file: "out/findings/r2-0c11.ops"}]} : {}));
      all.push(differential(run, host));
      if (host === HOST_B) {
        all.push(randomDifferential(run, host));
        all.push(selftest(run, host, "pre_fault_memory_test", run < 9 ? "failed" : "passed", 0.41));
        all.push(selftest(run, host, "private_mem_conversions_test -n 2", "skipped", 0.02, "Requirement not met: SW_PROTECTED_VM"));
        all.push(selftest(run, host, "set_memory_region_test", "failed", null, HOSTILE_REASON));
      }
    }
  }
  const last = RUNS_A - 1;
  all.push({...benchmark({name: HOSTILE_NAME, base: 7}, 70, last, HOST_A), label: "<b>bold</b>", unit: "ns/<i>page</i>",
    arguments: {"<u>key": "</td><svg onload=window.hacked=3>"}});
  all.push(skippedBenchmark(last, HOST_A, "=cmd|' /C calc'!A0", HOSTILE_REASON));
  all.push({...head("skip", last, HOST_A, 2), name: "<script>window.hacked=4</script>", reason: "\u2028 & <!-- \" '"});
  all.push({...head("gate", last, HOST_A, 900), base: "a".repeat(40), revision: "b".repeat(40), status: 1, failures: ["model/psmash: counter smash 512 -> 513"]});
  return all;
}

// The size that the page must stay fast at: 200 lines of 1,000 points.
export function manyRows(series, points) {
  const all = [];
  for (let run = 0; run < points; run++) {
    all.push({...head("host", run, HOST_A), fingerprint: fingerprint(0, HOST_A), fingerprint_reasons: {}});
    for (let i = 0; i < series; i++) {
      const spec = {name: "model/path_" + i, base: 1.7 * 1.09 ** i, floor: ["floor/store", 0.3 * 1.09 ** i], limit: 8, target: "M1", noise: 0.02};
      all.push(benchmark(spec, i + 1, run, HOST_A));
    }
  }
  return all;
}

export const text = (list) => list.map((row) => JSON.stringify(row) + "\n").join("");
