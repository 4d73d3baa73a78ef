#include "model/host/invalidation.h"

#include <algorithm>

#include "model/host/tdp_mmu.h"

namespace sluice::model {

void note_slots(Kernel& k, const Vm& vm, SlotMask at_begin, SlotMask at_end) {
  if ((at_begin | at_end) != 0) k.event(EventKind::kInvalidateSlots, vm, at_begin, at_end);
}

void invalidate_begin(Kernel& k, Vm& vm) {
  if (vm.invalidate_in_progress == 0) {
    k.set(vm.invalidate_first, Gfn{~std::uint64_t{0}});
    k.set(vm.invalidate_last, Gfn{0});
  }
  k.set(vm.invalidate_in_progress, vm.invalidate_in_progress + 1);
  k.event(EventKind::kInvalidateBegin, vm);
}

void invalidate_range_add(Kernel& k, Vm& vm, const GfnRange& range) {
  SLUICE_DCHECK(vm.invalidate_in_progress > 0);
  // The union of all ranges in flight: coarse, but never too small.
  k.set(vm.invalidate_first, std::min(vm.invalidate_first, range.first));
  k.set(vm.invalidate_last, std::max(vm.invalidate_last, range.last));
  k.event(EventKind::kInvalidateRange, vm, range.first.value, range.last.value);
}

void invalidate_end(Kernel& k, Vm& vm) {
  if (!planted(Planted::kInvalidateEndKeepsSeq)) k.set(vm.invalidate_seq, vm.invalidate_seq + 1);
  const std::int64_t ended = planted(Planted::kInvalidateNeverEnds) ? 0 : 1;
  k.set(vm.invalidate_in_progress, vm.invalidate_in_progress - ended);
  SLUICE_CHECK(vm.invalidate_in_progress >= 0);
  k.event(EventKind::kInvalidateEnd, vm, vm.invalidate_seq);
}

bool must_retry(const Vm& vm, std::uint64_t seq, Gfn gfn) {
  if (planted(Planted::kFaultSkipsRetryCheck)) return false;
  if (vm.invalidate_in_progress > 0) [[unlikely]] {
    if (planted(Planted::kFaultIgnoresInProgress)) return vm.invalidate_seq != seq;
    const bool unset = vm.invalidate_first > vm.invalidate_last;  // WARN in the kernel, and retry
    if (unset || (gfn >= vm.invalidate_first && gfn < vm.invalidate_last)) return true;
  }
  return vm.invalidate_seq != seq;
}

bool zap_gfn_range_begin(Kernel& k, Vm& vm, const GfnRange& range) {
  if (!planted(Planted::kZapGfnRangeBlocksNobody)) {
    invalidate_begin(k, vm);
    invalidate_range_add(k, vm, range);
  }
  bool flush = false;
  for (std::uint8_t address_space = 0; address_space < kAddressSpaces; ++address_space) {
    flush |= zap_leaves(k, vm, address_space, range);
  }
  return flush;
}

void zap_gfn_range_end(Kernel& k, Vm& vm, bool flush) {
  if (flush && !planted(Planted::kRmpFixSkipsFlush)) flush_remote_tlbs(k, vm);
  if (!planted(Planted::kZapGfnRangeBlocksNobody)) invalidate_end(k, vm);
}

void zap_gfn_range(Kernel& k, Vm& vm, const GfnRange& range) {
  const bool flush = zap_gfn_range_begin(k, vm, range);
  zap_gfn_range_end(k, vm, flush);
}

}  // namespace sluice::model
