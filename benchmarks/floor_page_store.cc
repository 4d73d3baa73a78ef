// The floor of conversion and pre-map: per 4 KiB page, 16 bytes of RMP entry, 8 of leaf, 8 of frame
// and 8 of content are stored, as any implementation must that keeps these tables.
#include <cstdint>
#include <optional>

#include "base/reserved_array.h"
#include "base/units.h"
#include "benchmarks/scenario/scenario.h"

namespace sluice::bench {
namespace {

class PageStore : public Scenario {
 public:
  explicit PageStore(const Arguments& arguments) : pages_(arguments.number("pages")) {}

  Status setup() override {
    for (auto* const table : {&rmp_low_, &rmp_high_, &leaf_, &frame_, &content_}) {
      auto opened = ReservedArray<std::uint64_t>::open(pages_);
      if (!opened) return fail(opened.error());
      *table = std::move(*opened);
    }
    return {};
  }
  void run(unsigned) override {
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
  Status verify() override {
    for (std::uint64_t i = 0; i < pages_; ++i) {
      if ((*frame_)[i] != round_ || (*leaf_)[i] != (i << kPageShift | 7))
        return fail("a page was not stored");
    }
    return {};
  }
  std::uint64_t items() const override { return pages_; }

 private:
  std::uint64_t pages_;
  std::uint64_t round_ = 0;
  std::optional<ReservedArray<std::uint64_t>> rmp_low_, rmp_high_, leaf_, frame_, content_;
};

const bool kAdded =
    add_benchmark({.name = "floor/page_store",
                   .parameters = {{"pages", {static_cast<std::int64_t>(kFramesPer1G)}, {1024}}},
                   .make = make_scenario<PageStore>});

}  // namespace
}  // namespace sluice::bench
