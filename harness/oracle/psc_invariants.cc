// Invariants X1 to X4: page state changes by the GHCB (invariants.md H; snp_host.md 5.3). Where a
// vCPU makes several requests in one step, as a guest does for a long range, the last is judged.
#include <algorithm>
#include <array>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"
#include "trace/kernel_behavior.h"

namespace sluice::oracle {
namespace {

using check::Result;

/// The first that `ask` has to say about a vCPU's request.
template <class Ask>
Result ask_of_requests(const View& view, Ask&& ask) {
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const PscView psc = view.psc({i});
    if (!psc.started) continue;
    if (Result wrong = ask(psc); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

std::uint64_t entry_in(std::span<const std::uint64_t> entries, std::size_t index) {
  return index < entries.size() ? entries[index] : 0;
}

/// Pages that user space converted and pages that were marked done, as steps of a sum over the
/// frames: +1 where a converted range begins, -1 where it ends, and the other way round for what
/// was marked. The two agree where the sum is 0 everywhere; private and shared are summed apart.
class Balance {
 public:
  void add(Gfn first, std::uint64_t count, std::int32_t change) {
    steps_[size_++] = {.at = first.value, .change = change};
    steps_[size_++] = {.at = first.value + count, .change = -change};
  }
  /// The first frame of which not as much was reported as was marked done.
  Result first_difference() {
    std::sort(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(size_),
              [](const Step& a, const Step& b) { return a.at < b.at; });
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      sum += steps_[i].change;
      const bool last_here = i + 1 == size_ || steps_[i + 1].at != steps_[i].at;
      if (last_here && sum != 0) return Violation{.subject = steps_[i].at};
    }
    return std::nullopt;
  }

 private:
  struct Step {
    std::uint64_t at;
    std::int32_t change;
  };
  std::size_t size_ = 0;
  // At most as many exits as entries, each with a beginning and an end. Those beyond `size_` are
  // not written: to clear them would cost more than all the rest.
  std::array<Step, std::size_t{4} * kPscMaxEntries> steps_;
};

/// What the request has marked done of entry `index`: nothing, or pages from where it stood.
void add_done(const PscView& psc, std::size_t index, bool to_private, Balance& balance) {
  const PscEntry before{entry_in(psc.entries_at_start, index)};
  const PscEntry now{entry_in(psc.entries, index)};
  const std::uint8_t wanted = to_private ? PscOperation::kPrivate : PscOperation::kShared;
  if (before.operation() != wanted || now.cur_page() <= before.cur_page()) return;
  balance.add(before.gfn() + PageCount{before.cur_page()}, now.cur_page() - before.cur_page(), -1);
}

/// The trigger of the batching defect: a partly done 2 MiB entry, and behind it one of 4 KiB whose
/// frame follows the pages left as if they had been counted from the entry's own frame.
bool meets_batching_defect(const PscView& psc, std::uint64_t at) {
  const std::size_t count = std::min<std::size_t>(psc.entries_at_start.size(), kPscMaxEntries);
  for (std::size_t i = psc.header_at_start.cur_entry(); i + 1 < count; ++i) {
    const PscEntry one{psc.entries_at_start[i]}, next{psc.entries_at_start[i + 1]};
    const bool partly_done = one.is_2m() && one.cur_page() != 0 && one.cur_page() < kFramesPer2M;
    const bool follows = next.gfn() == one.gfn() + PageCount{kFramesPer2M - one.cur_page()};
    if (partly_done && follows && next.gfn().value == at && !next.is_2m() && next.cur_page() == 0 &&
        next.operation() == one.operation())
      return true;
  }
  return false;
}

}  // namespace

namespace check {

Result psc_exits_are_what_was_done(const View& view) {
  return ask_of_requests(view, [&view](const PscView& psc) -> Result {
    // In between, an exit is on its way that nobody has marked yet; and what somebody else wrote
    // meanwhile, nobody can tell from what the kernel was asked for.
    if (psc.open || psc.written_by_others) return std::nullopt;
    for (const bool to_private : {false, true}) {
      Balance balance;
      for (const PscExit& exit : psc.exits) {
        if (exit.granted && exit.to_private == to_private) balance.add(exit.first, exit.count, 1);
      }
      const std::size_t entries = std::min<std::size_t>(psc.entries.size(), kPscMaxEntries);
      for (std::size_t i = 0; i < entries; ++i) add_done(psc, i, to_private, balance);
      if (Result wrong = balance.first_difference(); wrong.has_value()) {
        wrong->known_upstream =
            behavior::psc_batches_behind_a_partly_done_entry(view.header().kernel) &&
            meets_batching_defect(psc, wrong->subject);
        return wrong;
      }
    }
    return std::nullopt;
  });
}

Result psc_entries_go_forward(const View& view) {
  return ask_of_requests(view, [](const PscView& psc) -> Result {
    if (psc.written_by_others) return std::nullopt;
    const unsigned now = psc.header.cur_entry(), start = psc.header_at_start.cur_entry();
    const bool backward = now < psc.header_before.cur_entry();
    const bool too_far = now != start && now > psc.header.end_entry() + 1u;
    return backward || too_far ? Violation{.subject = now, .other = start} : Result{};
  });
}

Result psc_no_batch_without_exit(const View& view) {
  return ask_of_requests(view, [](const PscView& psc) -> Result {
    const bool stray = psc.batch_size != 0 && !psc.exit_pending;
    return stray ? Violation{.subject = psc.batch_size} : Result{};
  });
}

Result psc_index_within_buffer(const View& view) {
  return ask_of_requests(view, [](const PscView& psc) -> Result {
    const std::uint64_t at = psc.scratch.value;
    const bool inside = at >= kGhcbBufferBegin && at + sizeof(PscHeader) <= kGhcbBufferEnd;
    // Outside of its GHCB only a version 1 guest may have a buffer.
    const std::uint64_t outside = psc.version.value < 2 && at >= kPageBytes ? kPscMaxEntries : 0;
    const std::uint64_t room =
        inside ? (kGhcbBufferEnd - at - sizeof(PscHeader)) / sizeof(PscEntry) : outside;
    return psc.touched > room ? Violation{.subject = psc.touched - 1u, .other = room} : Result{};
  });
}

}  // namespace check
}  // namespace sluice::oracle
