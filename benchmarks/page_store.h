// The tables that any implementation of conversion and pre-map must keep, and nothing else: what
// floor/page_store times, and what growth is measured against.
#pragma once
#include <cstdint>
#include <optional>

#include "base/reserved_array.h"
#include "base/units.h"
#include "benchmarks/scenario/scenario.h"

namespace sluice::bench {

/// Per 4 KiB page 16 bytes of RMP entry, 8 of leaf, 8 of frame and 8 of content. Untouched at
/// first: the first store() backs the tables with memory. Thread: compatible.
class PageStoreTables {
 public:
  Status open(std::uint64_t pages) {
    for (auto* const table : {&rmp_low_, &rmp_high_, &leaf_, &frame_, &content_}) {
      auto opened = ReservedArray<std::uint64_t>::open(pages);
      if (!opened) return fail(opened.error());
      *table = std::move(*opened);
    }
    pages_ = pages;
    return {};
  }
  /// One store of every field of every page. Pre: open() succeeded.
  void store() {
    ++round_;
    for (std::uint64_t i = 0; i < pages_; ++i) {
      (*rmp_low_)[i] = i << kPageShift | 1;
      (*rmp_high_)[i] = 0x1f;
      (*leaf_)[i] = i << kPageShift | 7;
      (*frame_)[i] = round_;
      (*content_)[i] = 0;
      keep((*leaf_)[i]);
    }
  }
  /// Every page has what the last store() wrote.
  bool is_stored() const {
    for (std::uint64_t i = 0; i < pages_; ++i) {
      if ((*frame_)[i] != round_ || (*leaf_)[i] != (i << kPageShift | 7)) return false;
    }
    return true;
  }
  std::uint64_t pages() const { return pages_; }

 private:
  std::uint64_t pages_ = 0;
  std::uint64_t round_ = 0;
  std::optional<ReservedArray<std::uint64_t>> rmp_low_, rmp_high_, leaf_, frame_, content_;
};

}  // namespace sluice::bench
