// The page cache of a guest_memfd: finding, allocating, referencing and dropping its pages.
#include <algorithm>
#include <utility>

#include "model/host/adversity.h"
#include "model/host/guest_memfd.h"
#include "model/host/snp_rmp.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kBlock = kFramesPer2M;

std::uint64_t head_of(std::uint64_t index) { return index & ~(kBlock - 1); }

/// The word of a page, or nothing where no node holds it.
const std::uint64_t* find_word(const Kernel& k, const Gmem& gmem, std::uint64_t index) {
  NodeId node = gmem.cache;
  for (unsigned level = gmem.cache_levels; node != kNoNode; --level) {
    const std::uint64_t& word = k.nodes.node(node).words[node_slot(index, level)];
    if (level == 1) return &word;
    node = static_cast<NodeId>(word);
  }
  return nullptr;
}
std::uint64_t* find_word(Kernel& k, const Gmem& gmem, std::uint64_t index) {
  return const_cast<std::uint64_t*>(find_word(std::as_const(k), gmem, index));
}

NodeId take_node(Kernel& k, const Gmem& gmem, unsigned level, std::uint64_t first) {
  return k.nodes.take(k.machine.journal,
                      {.kind = NodeKind::kPageCache,
                       .owner = k.index_of(gmem).value,
                       .level = static_cast<std::uint8_t>(level)},
                      first);
}

std::uint64_t& make_word(Kernel& k, Gmem& gmem, std::uint64_t index) {
  if (gmem.cache == kNoNode) k.set(gmem.cache, take_node(k, gmem, gmem.cache_levels, 0));
  NodeId node = gmem.cache;
  for (unsigned level = gmem.cache_levels;; --level) {
    std::uint64_t& word = k.nodes.word(node, node_slot(index, level));
    if (level == 1) return word;
    if (word == 0) {
      const std::uint64_t first = index & ~(pages_below_entry(level) - 1);
      k.set(word, take_node(k, gmem, level - 1, first));
    }
    node = static_cast<NodeId>(word);
  }
}

bool block_is_empty(const Kernel& k, const Gmem& gmem, std::uint64_t head) {
  const std::uint64_t* const words = find_word(k, gmem, head);
  if (words == nullptr) return true;
  for (std::uint64_t i = 0; i < kBlock; ++i) {
    if (words[i] != 0) return false;
  }
  return true;
}

/// A folio of 512 pages, if policy, file and machine allow it.
bool add_large_folio(Kernel& k, Gmem& gmem, std::uint64_t index) {
  const std::uint64_t head = head_of(index);
  if (k.machine.header.policy.gmem_order != GmemOrder::k2M) return false;
  if (head + kBlock > gmem.page_count || !block_is_empty(k, gmem, head)) return false;
  const auto pfn = k.machine.frames.allocate_2m(
      k.machine.journal, {.use = FrameUse::kGmem, .gmem = k.index_of(gmem), .index = head});
  if (!pfn) return false;
  for (std::uint64_t i = 0; i < kBlock; ++i) {
    k.set(make_word(k, gmem, head + i),
          GmemPage::kPresent | GmemPage::kLarge | (pfn->value + i) << GmemPage::kFrameShift);
  }
  k.machine.journal.add(gmem.resident_pages, kBlock);
  k.machine.events.add({.kind = EventKind::kFrameAllocated, .a = pfn->value, .b = kBlock});
  return true;
}

/// A large folio that is dropped in part becomes 512 small ones first.
void split_folio(Kernel& k, Gmem& gmem, std::uint64_t index) {
  const std::uint64_t head = head_of(index);
  const std::uint64_t uptodate = *find_word(k, gmem, head) & GmemPage::kUptodate;
  for (std::uint64_t i = 0; i < kBlock; ++i) {
    std::uint64_t& word = *find_word(k, gmem, head + i);
    k.set(word, (word & ~GmemPage::kLarge) | uptodate);
  }
}

void detach(Kernel& k, Pfn pfn, std::uint32_t references) {
  for (DetachedFolio& folio : k.detached) {
    if (folio.references != 0) continue;
    k.set(folio.references, references);
    k.set(folio.pfn, pfn);
    return;
  }
  SLUICE_CHECK(false);  // an actor holds at most one folio
}

/// Takes one page out of the page cache: free_folio runs now, the frame is free when the last
/// reference goes. Of a large folio that goes as a whole, the head's page stands for all.
void drop_page(Kernel& k, Gmem& gmem, std::uint64_t& word, PageCount invalidated) {
  const GmemPage page{word};
  k.set(word, 0);
  if (page.user_mapped()) k.machine.tlbs.user.flush(k.machine.journal);  // unmap_mapping_range()
  k.machine.journal.add(gmem.resident_pages, -1);
  if (!planted(Planted::kPunchSkipsArchInvalidate)) gmem_invalidate(k, page.pfn(), invalidated);
  if (planted(Planted::kArchInvalidateTwice)) {
    k.machine.events.add({.kind = EventKind::kArchInvalidate, .a = page.pfn().value});
  }
  if (planted(Planted::kPunchLosesFrame)) return;
  // The event belongs to free_folio, which runs now even where a reference keeps the frame.
  k.machine.events.add({.kind = EventKind::kFrameFreed, .a = page.pfn().value});
  if (page.references() > 0) {
    detach(k, page.pfn(), page.references());
  } else {
    k.machine.frames.release(k.machine.journal, page.pfn());
  }
}

void drop_node(Kernel& k, Gmem& gmem, NodeId node, unsigned level, const PageRange& pages) {
  const std::uint64_t first = k.nodes.first(node);
  const std::uint64_t span = pages_below_entry(level);
  unsigned slot = pages.first <= first ? 0 : node_slot(pages.first, level);
  const unsigned last = pages.last >= first + 512 * span ? 511 : node_slot(pages.last - 1, level);
  for (; slot <= last; ++slot) {
    std::uint64_t& word = k.nodes.word(node, slot);
    if (word == 0) continue;
    if (level > 1) {
      drop_node(k, gmem, static_cast<NodeId>(word), level - 1, pages);
      continue;
    }
    const std::uint64_t index = first + slot;
    const bool partly = pages.first > head_of(index) || pages.last < head_of(index) + kBlock;
    if (GmemPage{word}.large() && partly) split_folio(k, gmem, index);
    const bool whole = GmemPage{word}.large();
    const PageCount stands_for{whole ? (index == head_of(index) ? kBlock : 0) : 1};
    drop_page(k, gmem, word, stands_for);
  }
}

/// Gives back the nodes of an empty page cache.
void free_nodes(Kernel& k, NodeId node, unsigned level) {
  if (level > 1) {
    for (unsigned slot = 0; slot < 512; ++slot) {
      std::uint64_t& word = k.nodes.word(node, slot);
      if (word == 0) continue;
      free_nodes(k, static_cast<NodeId>(word), level - 1);
      k.set(word, 0);
    }
  }
  k.nodes.give(k.machine.journal, node);
}

}  // namespace

GmemPage find_page(const Kernel& k, const Gmem& gmem, std::uint64_t index) {
  if (index >= gmem.page_count) return {};
  const std::uint64_t* const word = find_word(k, gmem, index);
  if (word == nullptr) return {};
  GmemPage page{*word};
  if (page.large()) page.word |= *find_word(k, gmem, head_of(index)) & GmemPage::kUptodate;
  return page;
}

GmemPageView view_page_word(std::uint64_t word, std::uint64_t head_word) {
  GmemPage page{word};
  if (!page.present()) return {};
  if (page.large()) page.word |= head_word & GmemPage::kUptodate;
  return {.present = true,
          .uptodate = page.uptodate(),
          .pfn = page.pfn(),
          .references = page.references() + 1,
          .user_mapped = page.user_mapped(),
          .poisoned = page.poisoned(),
          .large = page.large()};
}

GmemPageView view_page(const Kernel& k, const Gmem& gmem, std::uint64_t index) {
  const std::uint64_t word = find_page(k, gmem, index).word;
  return view_page_word(word, word);
}

Check get_folio(Kernel& k, Gmem& gmem, std::uint64_t index, Check no_memory) {
  if (GmemPage{make_word(k, gmem, index)}.present()) return Check::kOk;
  if (no_memory != Check::kOk) {
    if (const Check check = check_allocation(k, no_memory); check != Check::kOk) return check;
  }
  if (add_large_folio(k, gmem, index)) return Check::kOk;
  const std::uint64_t owner_index = planted(Planted::kFrameOfOtherIndex) ? index + 1 : index;
  const auto pfn = k.machine.frames.allocate(
      k.machine.journal, {.use = FrameUse::kGmem, .gmem = k.index_of(gmem), .index = owner_index});
  if (!pfn) return Check::kSkipLimit;
  k.set(make_word(k, gmem, index), GmemPage::kPresent | pfn->value << GmemPage::kFrameShift);
  k.machine.journal.add(gmem.resident_pages, 1);
  k.machine.events.add({.kind = EventKind::kFrameAllocated, .a = pfn->value, .b = 1});
  return Check::kOk;
}

namespace {

/// Where `uptodate` of a page is kept.
std::uint64_t& uptodate_word(Kernel& k, const Gmem& gmem, std::uint64_t index) {
  std::uint64_t& word = *find_word(k, gmem, index);
  return GmemPage{word}.large() ? *find_word(k, gmem, head_of(index)) : word;
}

void zero_folio(Kernel& k, const GmemPage& page) {
  const std::uint64_t frames = page.large() ? kBlock : 1;
  const std::uint64_t first = page.pfn().value & ~(frames - 1);
  for (std::uint64_t i = 0; i < frames; ++i) {
    host_kernel_store(k, {first + i}, 0);
  }
}

}  // namespace

void split_large_folio(Kernel& k, Gmem& gmem, std::uint64_t index) {
  if (find_page(k, gmem, index).large()) split_folio(k, gmem, index);
}

void mark_uptodate(Kernel& k, const Gmem& gmem, std::uint64_t index) {
  std::uint64_t& word = uptodate_word(k, gmem, index);
  if ((word & GmemPage::kUptodate) == 0) k.set(word, word | GmemPage::kUptodate);
}

void poison_page(Kernel& k, Gmem& gmem, std::uint64_t index) {
  // Assumption: a 2 MiB folio, ahead of mainline, is split as a huge page of user space would be.
  split_large_folio(k, gmem, index);
  std::uint64_t& word = *find_word(k, gmem, index);
  const GmemPage page{word};
  k.machine.frames.poison(k.machine.journal, page.pfn());
  k.set(word, (word & ~GmemPage::kUserMapped) | GmemPage::kPoisoned);
  if (page.user_mapped()) k.machine.tlbs.user.flush(k.machine.journal);  // try_to_unmap()
}

Check map_for_user(Kernel& k, Gmem& gmem, std::uint64_t index) {
  // Left out: a user's own fault that finds no memory waits for the OOM killer.
  const Check check = get_folio(k, gmem, index, Check::kOk);
  if (check != Check::kOk) return check;
  const GmemPage page = find_page(k, gmem, index);
  if (page.poisoned()) return Check::kGmemAccessPoisoned;
  if (!page.uptodate()) {
    zero_folio(k, page);
    mark_uptodate(k, gmem, index);
  }
  std::uint64_t& word = *find_word(k, gmem, index);
  if (!page.user_mapped()) k.set(word, word | GmemPage::kUserMapped);
  return Check::kOk;
}

Check hold_page(Kernel& k, const Memslot& slot, Gfn gfn, GmemHold& hold, Check no_memory) {
  if (!has_live_file(k, slot)) return Check::kFaultGmemGone;  // kvm.md 1.5 row 1
  Gmem& gmem = k.gmems[slot.gmem];
  const bool forgets = planted(Planted::kFileIndexIgnoresOffset);
  const std::uint64_t index = gfn.value - slot.base.value + (forgets ? 0 : slot.gmem_page_offset);
  hold.index = index;
  const Check check = get_folio(k, gmem, index, no_memory);
  if (check != Check::kOk) return check;
  std::uint64_t& word = *find_word(k, gmem, index);
  const GmemPage page{word};
  if (page.poisoned() && !planted(Planted::kPoisonedPageIsServed)) return Check::kFaultPoisoned;
  hold.pfn = page.pfn();
  // A block may be mapped as one if the slot has all of it and GFNs and frames are congruent.
  const std::uint64_t head = head_of(index);
  const bool inside = head >= slot.gmem_page_offset &&
                      head + kBlock <= slot.gmem_page_offset + slot.page_count.value;
  const bool whole = (inside || planted(Planted::kHugeLeafBeyondSlot)) &&
                     ((gfn.value ^ index) & (kBlock - 1)) == 0;
  hold.max_order = page.large() && whole ? 9 : 0;
  // Assumption: a 2 MiB folio, ahead of mainline, is split where a slot has only part of it, as for
  // a launch: pages are prepared one by one then, and "uptodate" is the folio's.
  if (page.large() && !whole) split_folio(k, gmem, index);
  SLUICE_CHECK(page.references() < GmemPage::kMaxReferences);
  k.set(word, word + GmemPage::kReference);
  return Check::kOk;
}

Check prepare_page(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, GmemHold& hold) {
  if (slot.gmem == GmemRef::kNone) return Check::kOk;  // closed since: the retry check finds out
  const Gmem& gmem = k.gmems[slot.gmem];
  const GmemPage page = find_page(k, gmem, hold.index);
  if (!page.present() || page.pfn() != hold.pfn) return Check::kOk;  // dropped since: likewise
  if (!page.large()) hold.max_order = 0;  // split since: another page of it may be gone
  const bool always = behavior::gmem_always_prepares(k.version());
  if (page.uptodate() && planted(Planted::kFaultZeroesAgain)) zero_folio(k, page);
  if (page.uptodate() && !always) return Check::kOk;
  const bool late = planted(Planted::kZeroAfterPrepare) && !page.uptodate();
  if (!page.uptodate()) {
    if (!planted(Planted::kFreshPageNotZeroed) && !late) zero_folio(k, page);
    if (always || planted(Planted::kUptodateBeforePrepared)) mark_uptodate(k, gmem, hold.index);
  }
  const Check check = gmem_prepare(k, vm, hold.pfn, gfn, hold.max_order);
  if (check != Check::kOk) return check;
  if (late) zero_folio(k, page);
  mark_uptodate(k, gmem, hold.index);
  return Check::kOk;
}

Check get_pfn(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, GmemHold& hold) {
  if (const Check check = hold_page(k, slot, gfn, hold); check != Check::kOk) return check;
  const Check check = prepare_page(k, vm, slot, gfn, hold);
  if (check != Check::kOk) release_page(k, slot.gmem, hold.index, hold.pfn);
  return check;
}

void release_page(Kernel& k, std::uint8_t gmem, std::uint64_t index, Pfn pfn) {
  if (planted(Planted::kFaultKeepsFolioReference)) return;
  std::uint64_t* word = find_word(k, k.gmems[gmem], index);
  if (word != nullptr && GmemPage{*word}.large() && planted(Planted::kReleasesHeadPage)) {
    word = find_word(k, k.gmems[gmem], head_of(index));
    if (GmemPage{*word}.references() > 0) k.set(*word, *word - GmemPage::kReference);
    return;
  }
  if (word != nullptr && GmemPage{*word}.present() && GmemPage{*word}.pfn() == pfn) {
    k.set(*word, *word - GmemPage::kReference);
    return;
  }
  for (DetachedFolio& folio : k.detached) {
    if (folio.references == 0 || folio.pfn != pfn) continue;
    k.set(folio.references, folio.references - 1);
    if (folio.references == 0) k.machine.frames.release(k.machine.journal, pfn);
    return;
  }
  SLUICE_CHECK(false);  // a reference that nobody holds
}

void drop_pages(Kernel& k, Gmem& gmem, const PageRange& pages) {
  if (gmem.cache == kNoNode) return;
  const PageRange part{.first = pages.first, .last = std::min(pages.last, gmem.page_count)};
  if (part.first >= part.last) return;
  drop_node(k, gmem, gmem.cache, gmem.cache_levels, part);
  if (part.first == 0 && part.last == gmem.page_count) {
    free_nodes(k, gmem.cache, gmem.cache_levels);
    k.set(gmem.cache, kNoNode);
  }
}

}  // namespace sluice::model
