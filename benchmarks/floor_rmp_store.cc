// The floor of everything that writes the RMP: a loop that stores 16 bytes per entry, as RMPUPDATE
// must at the least. 1 GiB of guest memory at 4 KiB is 262144 entries, 4 MiB of table; entries of 2
// MiB stand 8 KiB apart.
#include <cstdint>
#include <optional>

#include "base/reserved_array.h"
#include "base/units.h"
#include "benchmarks/scenario/access_order.h"
#include "benchmarks/scenario/scenario.h"

namespace sluice::bench {
namespace {

struct Entry {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};
static_assert(sizeof(Entry) == 16);

class RmpStore : public Scenario {
 public:
  explicit RmpStore(const Arguments& arguments)
      : order_(access_order(arguments.number("entries"), arguments.text("order"))),
        stride_(arguments.text("page_size") == "2M" ? kFramesPer2M : 1) {}

  Status setup() override {
    Expected<ReservedArray<Entry>> table = ReservedArray<Entry>::open(order_.size() * stride_);
    if (!table) return fail(table.error());
    table_ = std::move(*table);
    return {};
  }

  void run(unsigned) override {
    ++round_;
    Entry* const entries = table_->data();
    for (const std::uint64_t i : order_) {
      Entry& entry = entries[i * stride_];
      entry = {.low = i << kPageShift | 1, .high = round_};
      keep(entry);  // one store per entry: the compiler may not merge or vectorize what RMPUPDATE
                    // does one at a time
    }
  }

  Status verify() override {
    for (std::uint64_t i = 0; i < order_.size(); ++i) {
      const Entry& entry = (*table_)[i * stride_];
      if (entry.low != (i << kPageShift | 1) || entry.high != round_)
        return fail("an entry was not stored");
    }
    return {};
  }

  std::uint64_t items() const override { return order_.size(); }

 private:
  std::vector<std::uint32_t> order_;
  std::uint64_t stride_;
  std::uint64_t round_ = 0;
  std::optional<ReservedArray<Entry>> table_;
};

const bool kAdded =
    add_benchmark({.name = "floor/rmp_store",
                   .parameters = {{"page_size", {"4K"}, {}},
                                  {"order", {"sequential", "random"}, {}},
                                  {"entries", {static_cast<std::int64_t>(kFramesPer1G)}, {4096}}},
                   .make = make_scenario<RmpStore>,
                   .unit = "ns/entry"});
const bool kAdded2M = add_benchmark({.name = "floor/rmp_store_2m",
                                     .parameters = {{"page_size", {"2M"}, {}},
                                                    {"order", {"sequential", "random"}, {}},
                                                    {"entries", {16384}, {64}}},
                                     .make = make_scenario<RmpStore>,
                                     .unit = "ns/entry"});

}  // namespace
}  // namespace sluice::bench
