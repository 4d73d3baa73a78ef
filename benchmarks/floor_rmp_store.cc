// The floor of everything that writes the RMP: a loop that stores 16 bytes per entry, as RMPUPDATE
// must at the least. 1 GiB of guest memory at 4 KiB is 262144 entries, 4 MiB of table.
#include <array>
#include <cstdint>
#include <optional>

#include "base/reserved_array.h"
#include "base/units.h"
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
  explicit RmpStore(const Arguments& arguments) : pages_(arguments.number("pages")) {}

  Status setup() override {
    Expected<ReservedArray<Entry>> table = ReservedArray<Entry>::open(pages_);
    if (!table) return fail(table.error());
    table_ = std::move(*table);
    return {};
  }

  void run(unsigned) override {
    ++round_;
    Entry* const entries = table_->data();
    for (std::uint64_t i = 0; i < pages_; ++i) {
      entries[i] = {.low = i << kPageShift | 1, .high = round_};
      keep(entries[i]);  // one store per entry: the compiler may not merge or vectorize what
                         // RMPUPDATE does one at a time
    }
  }

  Status verify() override {
    for (std::uint64_t i = 0; i < pages_; ++i) {
      const Entry& entry = (*table_)[i];
      if (entry.low != (i << kPageShift | 1) || entry.high != round_)
        return fail("an entry was not stored");
    }
    return {};
  }

  std::uint64_t items() const override { return pages_; }

 private:
  std::uint64_t pages_;
  std::uint64_t round_ = 0;
  std::optional<ReservedArray<Entry>> table_;
};

const bool kAdded =
    add_benchmark({.name = "floor/rmp_store",
                   .parameters = {{"pages", {static_cast<std::int64_t>(kFramesPer1G)}, {4096}}},
                   .make = make_scenario<RmpStore>});

}  // namespace
}  // namespace sluice::bench
