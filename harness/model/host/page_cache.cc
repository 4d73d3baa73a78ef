// The page cache of a guest_memfd: finding, allocating, referencing and dropping its pages.
#include <algorithm>
#include <utility>

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/in_place.h"
#include "model/host/kernel_write.h"
#include "model/host/snp_rmp.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kBlock = kFramesPer2M;

constexpr std::uint64_t head_of(std::uint64_t index) { return index & ~(kBlock - 1); }

/// The pages of the folio.
constexpr PageRange folio_around(std::uint64_t index, MapLevel level) {
  const std::uint64_t head = index & ~(frames_in(level) - 1);
  return {.first = head, .last = head + frames_in(level)};
}

/// The page with what of a large folio stands at the head of its 512 pages.
GmemPage with_head(std::uint64_t word, std::uint64_t head_word) {
  const bool large = GmemPage{word}.large();
  return {word | (large ? head_word & (GmemPage::kUptodate | GmemPage::kGiant) : 0)};
}

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

/// No page of it has a folio.
bool is_empty(const Kernel& k, const Gmem& gmem, const PageRange& pages) {
  for (std::uint64_t head = pages.first; head < pages.last; head += kBlock) {
    const std::uint64_t* const words = find_word(k, gmem, head);
    if (words == nullptr) continue;
    if (!std::all_of(words, words + kBlock, [](std::uint64_t word) { return word == 0; }))
      return false;
  }
  return true;
}

/// A folio of this size, larger than a page, if file and machine have room for it.
bool add_large_folio(Kernel& k, Gmem& gmem, std::uint64_t index, MapLevel level) {
  const PageRange pages = folio_around(index, level);
  if (pages.last > gmem.page_count || !is_empty(k, gmem, pages)) return false;
  const auto pfn = k.machine.frames.allocate_block(
      k.machine.journal, {.use = FrameUse::kGmem, .gmem = k.index_of(gmem), .index = pages.first},
      level);
  if (!pfn) return false;
  for (std::uint64_t i = 0; i < frames_in(level); ++i) {
    const bool keeps_size = level == MapLevel::k1G && i % kBlock == 0;
    k.set(make_word(k, gmem, pages.first + i), GmemPage::kPresent | GmemPage::kLarge |
                                                   (keeps_size ? GmemPage::kGiant : 0) |
                                                   (pfn->value + i) << GmemPage::kFrameShift);
  }
  k.machine.journal.add(gmem.resident_pages, static_cast<std::int64_t>(frames_in(level)));
  k.machine.events.add(
      {.kind = EventKind::kFrameAllocated, .a = pfn->value, .b = frames_in(level)});
  return true;
}

/// A large folio becomes 512 of the next smaller size, each as up to date as it was.
void split_folio(Kernel& k, Gmem& gmem, std::uint64_t index, MapLevel level) {
  const PageRange pages = folio_around(index, level);
  if (level == MapLevel::k1G) {
    for (std::uint64_t head = pages.first; head < pages.last; head += kBlock) {
      std::uint64_t& word = *find_word(k, gmem, head);
      k.set(word, word & ~GmemPage::kGiant);
    }
    return;
  }
  const std::uint64_t uptodate = *find_word(k, gmem, pages.first) & GmemPage::kUptodate;
  for (std::uint64_t i = pages.first; i < pages.last; ++i) {
    std::uint64_t& word = *find_word(k, gmem, i);
    k.set(word, (word & ~GmemPage::kLarge) | uptodate);
  }
}

/// Splits the folio around a page until it is one that `fits`; what is one page does.
template <class Fits>
MapLevel split_until(Kernel& k, Gmem& gmem, std::uint64_t index, Fits&& fits) {
  MapLevel level = find_page(k, gmem, index).folio_level();
  for (; level != MapLevel::k4K && !fits(level); level = below(level)) {
    split_folio(k, gmem, index, level);
  }
  return level;
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
/// reference goes. Of a large folio that goes as a whole, the head of each 512 pages stands for
/// them.
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
  k.machine.events.add({.kind = EventKind::kFrameFreed, .a = page.pfn().value, .b = 1});
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
    const bool is_first = index == head_of(index) || index == pages.first;
    if (GmemPage{word}.large() && is_first) {
      split_until(k, gmem, index, [&pages, index](MapLevel size) {
        const PageRange folio = folio_around(index, size);
        return folio.first >= pages.first && folio.last <= pages.last;
      });
    }
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
  return with_head(*word, GmemPage{*word}.large() ? *find_word(k, gmem, head_of(index)) : 0);
}

GmemPageView view_page_word(std::uint64_t word, std::uint64_t head_word) {
  const GmemPage page = with_head(word, head_word);
  if (!page.present()) return {};
  return {.present = true,
          .uptodate = page.uptodate(),
          .pfn = page.pfn(),
          .references = page.references() + 1,
          .user_mapped = page.user_mapped(),
          .poisoned = page.poisoned(),
          .folio_pages = frames_in(page.folio_level())};
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
  for (MapLevel level = largest_folio(k); level != MapLevel::k4K; level = below(level)) {
    if (add_large_folio(k, gmem, index, level)) return Check::kOk;
  }
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

void zero_folio(Kernel& k, const GmemPage& page) {
  const std::uint64_t frames = frames_in(page.folio_level());
  const Pfn first = page.pfn().align_down(frames);
  for (std::uint64_t i = 0; i < frames; ++i) {
    zero_guest_page(k, first + PageCount{i});
  }
}

/// What "uptodate" of a folio of 1 GiB vouches for, until 6.18.
// Assumption: such a folio, ahead of mainline, is prepared as a whole, 2 MiB by 2 MiB since no RMP
// entry is larger. Where that fails it is split, so that what is ready is up to date and not zeroed
// again. Where each fault prepares (from 7.0 on), it prepares its own 2 MiB.
Check prepare_giant(Kernel& k, Vm& vm, Gmem& gmem, Gfn gfn, const GmemHold& hold) {
  const PageRange pages = folio_around(hold.index, MapLevel::k1G);
  const Gfn gfn_of_first = gfn.align_down(kFramesPer1G);
  const Pfn first = hold.pfn.align_down(kFramesPer1G);
  for (PageCount done{}; done.value < kFramesPer1G; done.value += kBlock) {
    const Check check = gmem_prepare(k, vm, first + done, gfn_of_first + done, MapLevel::k2M);
    if (check == Check::kOk) continue;
    split_folio(k, gmem, hold.index, MapLevel::k1G);
    for (std::uint64_t i = 0; i < done.value; i += kBlock) mark_uptodate(k, gmem, pages.first + i);
    return check;
  }
  return Check::kOk;
}

}  // namespace

void split_large_folio(Kernel& k, Gmem& gmem, std::uint64_t index) {
  split_until(k, gmem, index, [](MapLevel) { return false; });
}

void mark_uptodate(Kernel& k, const Gmem& gmem, std::uint64_t index) {
  const PageRange pages = folio_around(index, find_page(k, gmem, index).folio_level());
  for (std::uint64_t i = pages.first; i < pages.last; i += kBlock) {
    std::uint64_t& word = *find_word(k, gmem, i);
    if ((word & GmemPage::kUptodate) == 0) k.set(word, word | GmemPage::kUptodate);
  }
}

void poison_page(Kernel& k, Gmem& gmem, std::uint64_t index) {
  // Assumption: a larger folio, ahead of mainline, is split as a huge page of user space would be.
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
  make_ready(k, gmem, index);
  std::uint64_t& word = *find_word(k, gmem, index);
  if (!page.user_mapped()) k.set(word, word | GmemPage::kUserMapped);
  return Check::kOk;
}

void make_ready(Kernel& k, Gmem& gmem, std::uint64_t index) {
  const GmemPage page = find_page(k, gmem, index);
  if (page.uptodate()) return;
  zero_folio(k, page);
  mark_uptodate(k, gmem, index);
}

void unmap_for_user(Kernel& k, const Gmem& gmem, std::uint64_t index) {
  std::uint64_t& word = *find_word(k, gmem, index);
  if (!GmemPage{word}.user_mapped()) return;
  k.set(word, word & ~GmemPage::kUserMapped);
  k.machine.tlbs.user.flush(k.machine.journal);
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
  // A folio may be mapped as one if the slot has all of it and GFNs and frames are congruent.
  // Assumption: one larger than a page, ahead of mainline, is split where a slot has only part of
  // it, as for a launch: pages are prepared one by one then, and "uptodate" is the folio's.
  hold.max_level = split_until(k, gmem, index, [&](MapLevel level) {
    const PageRange folio = folio_around(index, level);
    const bool inside = folio.first >= slot.gmem_page_offset &&
                        folio.last <= slot.gmem_page_offset + slot.page_count.value;
    return (inside || planted(Planted::kHugeLeafBeyondSlot)) &&
           ((gfn.value ^ index) & (frames_in(level) - 1)) == 0;
  });
  SLUICE_CHECK(page.references() < GmemPage::kMaxReferences);
  k.set(word, word + GmemPage::kReference);
  return Check::kOk;
}

Check prepare_page(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, GmemHold& hold) {
  if (slot.gmem == GmemRef::kNone) return Check::kOk;  // closed since: the retry check finds out
  Gmem& gmem = k.gmems[slot.gmem];
  const GmemPage page = find_page(k, gmem, hold.index);
  if (!page.present() || page.pfn() != hold.pfn) return Check::kOk;  // dropped since: likewise
  // Split since: another page of it may be gone.
  hold.max_level = std::min(hold.max_level, page.folio_level());
  // In place, "uptodate" says nothing of whose the page is.
  const bool always = behavior::gmem_always_prepares(k.version()) || is_in_place(k);
  if (page.uptodate() && planted(Planted::kFaultZeroesAgain)) zero_folio(k, page);
  if (page.uptodate() && !always) return Check::kOk;
  const bool late = planted(Planted::kZeroAfterPrepare) && !page.uptodate();
  if (!page.uptodate()) {
    if (!planted(Planted::kFreshPageNotZeroed) && !late) zero_folio(k, page);
    if (always || planted(Planted::kUptodateBeforePrepared)) mark_uptodate(k, gmem, hold.index);
  }
  const bool whole = page.giant() && !always;
  const Check check = is_in_place(k) ? prepare_in_place(k, vm, gmem, gfn, hold)
                      : whole        ? prepare_giant(k, vm, gmem, gfn, hold)
                                     : gmem_prepare(k, vm, hold.pfn, gfn, hold.max_level);
  if (check != Check::kOk) return check;
  if (late) zero_folio(k, page);
  mark_uptodate(k, gmem, hold.index);
  return Check::kOk;
}

bool updates_rmp(const Kernel& k, const Vm& vm, const Memslot& slot, Gfn gfn,
                 const GmemHold& hold) {
  if (!vm.sev.active || slot.gmem == GmemRef::kNone) return false;
  const GmemPage page = find_page(k, k.gmem(GmemIndex{slot.gmem}), hold.index);
  if (!page.present() || page.pfn() != hold.pfn || is_assigned(k, hold.pfn)) return false;
  if (is_in_place(k)) return is_private(k, vm, gfn) && !is_kept_shared(k, hold.pfn);
  return !page.uptodate() || behavior::gmem_always_prepares(k.version());
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
    const MapLevel level = find_page(k, k.gmems[gmem], index).folio_level();
    word = find_word(k, k.gmems[gmem], folio_around(index, level).first);
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
