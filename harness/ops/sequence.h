// A sequence of operations: what a test, a fuzz input, a benchmark and a bug report all are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/kernel_version.h"
#include "ops/op_list.h"
#include "ops/policy.h"

namespace sluice {

inline constexpr std::size_t kMaxOps =
    64;  // what a sequence holds at most; text and codec refuse or cut more

inline constexpr unsigned kMaxPark = 255;  // Step::park

/// Who acts, what, and where to stop.
struct Step {
  ActorId actor{};
  std::uint8_t park = 0;  // 0: run to the end; K: stop at the K-th interleaving point
  Op op{};
};

/// machine: raw host RMP instructions and stores are legal, machine invariants are checked.
/// host: only the host kernel issues them, host invariants are checked too.
enum class Scope : std::uint8_t { kHost, kMachine };

struct SequenceHeader {
  Scope scope = Scope::kHost;
  KernelVersion kernel = kDefaultKernel;
  PolicySet policy{};
};

/// Header values that only people and scripts read; the byte form does not carry them.
struct SequenceNotes {
  std::string title{};
  std::string source{};
  std::vector<std::string> requirements{};         // capabilities, as `cap=guest_memfd`
  std::vector<std::uint32_t> requirement_lines{};  // empty, or the text line of each, from 1
  std::string finds{};  // a counterexample: the name of the invariant that the model is to break
};

/// Steps plus, where the sequence comes from text, what its author expects. Expectations stay
/// strings that `run` resolves, so that `ops` knows nothing of checks. Reuse one object: clear()
/// keeps the memory. Thread: compatible.
struct Sequence {
  SequenceHeader header{};
  std::vector<Step> steps{};
  SequenceNotes notes{};
  std::vector<std::string> expectations{};  // empty, or one per step ("" = none)
  std::vector<std::uint32_t> lines{};       // empty, or the text line of each step, from 1

  void clear() {
    header = {};
    steps.clear();
    notes = {};
    expectations.clear();
    lines.clear();
  }
};

/// The actor an operation has when the sequence names none.
constexpr ActorId default_actor(const Op& op) { return {.kind = info_of(op).actor, .index = 0}; }

}  // namespace sluice
