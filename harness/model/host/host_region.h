// The region of host memory that the sequence's user space maps: what shared memslots point into,
// what host_access touches, and what munmap(2), madvise(2), NUMA balancing and memory failures do
// to it. Of all these KVM hears by its MMU notifier. Source: kvm.md 4, 5.
//
// What user space asks for itself is declared in handlers.h; of a memory failure
// memory_management.h says more.
//
// Assumption: NUMA balancing moves no page: whoever touches it next is on its node.
#pragma once
#include "model/host/kernel.h"
#include "model/host/memslots.h"
#include "model/schedule/task.h"
#include "ops/adversity_ops.h"

namespace sluice::model {

/// The page at a host address, with a zeroed frame behind it from its first touch on (with
/// host_order=2M, 512 where the whole block is untouched); nullptr where nothing is mapped, or the
/// page is poisoned.
HostPage* touch_host_page(Kernel& k, std::uint64_t hva);
/// What user space's translations lead to may have another owner from here on.
void flush_user(Kernel& k);
/// The frame behind the address has failed.
bool is_poisoned(const Kernel& k, std::uint64_t hva);

/// The page of the region that a slot has behind a GFN of it, and the other way round; nothing
/// where there is none.
std::optional<std::uint64_t> region_page_of(const Memslot& slot, Gfn gfn);
std::optional<Gfn> gfn_of_region_page(const Memslot& slot, std::uint64_t page);
/// The GFNs of a slot that have pages of the region behind them.
GfnRange gfns_of_region(const Memslot& slot);
/// The huge page that a page of the region is part of, if it is, becomes 512 small ones.
void split_page(Kernel& k, std::uint64_t page);

/// A load or store of user space; `page` as user_page_of() numbers them (trace/view.h).
struct UserTouch {
  std::uint64_t page = 0;
  bool write = false;
  std::uint64_t token = 0;
};
/// By a translation that the processor has cached, if it has; value = the token read.
std::optional<Outcome> touch_cached(Kernel& k, const UserTouch& touch);
/// Through a mapping of this level of a frame.  Fails: host_access.rmp_violation.
Outcome touch_as_user(Kernel& k, Pfn pfn, MapLevel level, const UserTouch& touch);

/// NUMA balancing and memory failures befall the region without user space's doing.
/// Fails: skip.outside_host_region.
Outcome apply(Kernel& k, ActorId actor, const NumaBalancing& op);
/// Fails: skip.outside_host_region, skip.no_page.
Outcome apply(Kernel& k, ActorId actor, const HostMemoryFailure& op);
Task<Outcome> start(Kernel& k, ActorId actor, const NumaBalancing& op);
Task<Outcome> start(Kernel& k, ActorId actor, const HostMemoryFailure& op);

/// A planted bug's: the page gets another frame, and nobody is told.
void move_host_page(Kernel& k, std::uint64_t hva);

/// What no operation does and user space may between sequences: mmap(2) anew over the whole region.
/// The notifier zaps what was mapped, every page is zero at its next touch, holes are mapped again.
void renew_host_region(Kernel& k);

}  // namespace sluice::model
