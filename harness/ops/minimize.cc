#include "ops/minimize.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

class Minimizer {
 public:
  Minimizer(const Sequence& start, const StillShows& shows, std::size_t max_tries)
      : best_(start), shows_(shows), max_tries_(max_tries) {
    best_.lines.clear();
    if (!best_.expectations.empty()) best_.expectations.resize(best_.steps.size());
  }

  MinimizeResult run() {
    bool changed = true;
    while (changed && !is_spent()) {
      changed = drop_ranges();
      changed = drop_pairs() || changed;
      changed = drop_schedule() || changed;
      changed = simplify_header() || changed;
      changed = simplify_fields() || changed;
    }
    return {.sequence = std::move(best_), .tries = tries_, .is_minimal = !changed && !is_spent()};
  }

 private:
  bool is_spent() const { return tries_ >= max_tries_; }

  /// Asks about `candidate` and keeps it if it still shows the same.
  bool keep_if_shows(const Sequence& candidate) {
    if (is_spent()) return false;
    ++tries_;
    if (!shows_(candidate)) return false;
    best_ = candidate;
    return true;
  }

  static Sequence without(const Sequence& whole, std::size_t first, std::size_t count) {
    Sequence candidate = whole;
    const auto at = static_cast<std::ptrdiff_t>(first);
    const auto end = static_cast<std::ptrdiff_t>(first + count);
    candidate.steps.erase(candidate.steps.begin() + at, candidate.steps.begin() + end);
    if (!candidate.expectations.empty()) {
      candidate.expectations.erase(candidate.expectations.begin() + at,
                                   candidate.expectations.begin() + end);
    }
    return candidate;
  }

  /// From halves down to pairs and single steps, from the end, since later steps depend on earlier
  /// ones.
  bool drop_ranges() {
    bool changed = false;
    for (std::size_t width = std::bit_floor(best_.steps.size()); width > 0; width /= 2) {
      for (std::size_t end = best_.steps.size(); end > 0 && !is_spent();) {
        const std::size_t count = std::min(width, end);
        changed = keep_if_shows(without(best_, end - count, count)) || changed;
        end -= count;
      }
    }
    return changed;
  }

  /// Two steps that only go together: a park and its resume, a creation and its only use.
  bool drop_pairs() {
    bool changed = false;
    for (std::size_t second = best_.steps.size(); second-- > 1 && !is_spent();) {
      for (std::size_t first = second; first-- > 0 && !is_spent();) {
        if (!keep_if_shows(without(without(best_, second, 1), first, 1))) continue;
        changed = true;
        --second;  // what stood one place earlier has moved, and is the next to look at
        break;
      }
    }
    return changed;
  }

  bool drop_schedule() {
    bool changed = false;
    for (std::size_t i = 0; i < best_.steps.size() && !is_spent(); ++i) {
      if (best_.steps[i].park != 0) {
        Sequence candidate = best_;
        candidate.steps[i].park = 0;
        bool kept = keep_if_shows(candidate);
        if (!kept && best_.steps[i].park > 1) {
          candidate.steps[i].park = 1;
          kept = keep_if_shows(candidate);
        }
        if (!kept && best_.steps[i].park > 2) {
          candidate.steps[i].park = static_cast<std::uint8_t>(best_.steps[i].park - 1);
          kept = keep_if_shows(candidate);
        }
        changed = kept || changed;
      }
      if (best_.steps[i].actor != default_actor(best_.steps[i].op)) {
        Sequence candidate = best_;
        candidate.steps[i].actor = default_actor(candidate.steps[i].op);
        changed = keep_if_shows(candidate) || changed;
      }
    }
    return changed;
  }

  bool simplify_header() {
    bool changed = false;
    for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
      const std::uint8_t plain = policy_value(PolicySet{}, axis);
      if (policy_value(best_.header.policy, axis) == plain) continue;
      Sequence candidate = best_;
      set_policy_value(candidate.header.policy, axis, plain);
      if (!why_invalid(candidate.header.policy).empty()) continue;
      changed = keep_if_shows(candidate) || changed;
    }
    if (best_.header.kernel != kDefaultKernel) {
      Sequence candidate = best_;
      candidate.header.kernel = kDefaultKernel;
      changed = keep_if_shows(candidate) || changed;
    }
    return changed;
  }

  bool simplify_fields() {
    bool changed = false;
    for (std::size_t step = 0; step < best_.steps.size() && !is_spent(); ++step) {
      const std::size_t count = fields_of(best_.steps[step].op.index()).size();
      for (std::size_t field = 0; field < count; ++field) {
        changed = simplify_field(step, field) || changed;
      }
    }
    return changed;
  }

  /// The default, then 0, then one page, then the value with single bits cleared: each is simpler
  /// to read than what it replaces, so the walk ends.
  bool simplify_field(std::size_t step, std::size_t field) {
    const FieldInfo& info = fields_of(best_.steps[step].op.index())[field];
    const FieldValue now = get_field(best_.steps[step].op, field);
    if (now == info.default_value) return false;
    if (try_value(step, field, info.default_value)) return true;
    if (info.domain->is_small()) {
      return now.bits > 0 && try_value(step, field, {.bits = now.bits - 1});
    }
    if (now.bits == 0) return false;
    if (try_value(step, field, {.bits = 0, .raw = now.raw})) return true;
    if (now.bits > kPageBytes && info.domain->max >= kPageBytes &&
        try_value(step, field, {.bits = kPageBytes, .raw = now.raw})) {
      return true;
    }
    return clear_bits(step, field);
  }

  bool clear_bits(std::size_t step, std::size_t field) {
    bool changed = false;
    for (unsigned bit = 64; bit-- > 0 && !is_spent();) {
      const FieldValue now = get_field(best_.steps[step].op, field);
      const std::uint64_t mask = std::uint64_t{1} << bit;
      if ((now.bits & mask) == 0 || now.bits == mask) continue;
      changed = try_value(step, field, {.bits = now.bits & ~mask, .raw = now.raw}) || changed;
    }
    return changed;
  }

  bool try_value(std::size_t step, std::size_t field, FieldValue value) {
    if (value == get_field(best_.steps[step].op, field)) return false;
    Sequence candidate = best_;
    set_field(candidate.steps[step].op, field, value);
    return keep_if_shows(candidate);
  }

  Sequence best_;
  const StillShows& shows_;
  std::size_t max_tries_;
  std::size_t tries_ = 0;
};

}  // namespace

MinimizeResult minimize(const Sequence& start, const StillShows& shows, std::size_t max_tries) {
  const bool start_shows = shows(start);
  SLUICE_CHECK(start_shows);
  return Minimizer(start, shows, max_tries).run();
}

}  // namespace sluice
