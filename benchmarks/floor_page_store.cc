// The floor of conversion and pre-map (page_store.h).
#include "benchmarks/page_store.h"

namespace sluice::bench {
namespace {

class PageStore : public Scenario {
 public:
  explicit PageStore(const Arguments& arguments) : pages_(arguments.number("pages")) {}

  Status setup() override { return tables_.open(pages_); }
  void run(unsigned) override { tables_.store(); }
  Status verify() override {
    return tables_.is_stored() ? Status{} : fail("a page was not stored");
  }
  std::uint64_t items() const override { return pages_; }

 private:
  std::uint64_t pages_;
  PageStoreTables tables_;
};

const bool kAdded =
    add_benchmark({.name = "floor/page_store",
                   .parameters = {{"pages", {static_cast<std::int64_t>(kFramesPer1G)}, {1024}}},
                   .make = make_scenario<PageStore>});

}  // namespace
}  // namespace sluice::bench
