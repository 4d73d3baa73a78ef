// Pre-map (M5) and conversion (M4) of guest memory on the model: attributes, zap, reverse map and
// direct map together, as one ioctl each. 2M needs guest_memfd folios of that order, which mainline
// does not have.
#include "benchmarks/model_fixture.h"

namespace sluice::bench {
namespace {

class HostScenario : public Scenario {
 public:
  explicit HostScenario(const Arguments& arguments)
      : pages_(arguments.number("pages")), large_(arguments.text("page_size") == "2M") {}
  void before() override { fixture_.reset(); }
  void run(unsigned) override {
    failed_ = 0;
    for (const Step& step : steps_) failed_ += fixture_.backend().apply(step).ok() ? 0u : 1u;
  }
  std::uint64_t items() const override { return pages_; }
  Facts counters() const override {
    return {
        {.name = "journal_entries",
         .value = static_cast<std::int64_t>(
             const_cast<HostScenario*>(this)->fixture_.backend().kernel().machine.journal.size())}};
  }

 protected:
  std::string range() const { return "0x0 size=" + std::to_string(pages_ * kPageBytes); }
  std::string make_private() const {
    return "set_memory_attributes vm=0 address=" + range() + " attributes=private\n";
  }
  std::string pre_map() const { return "@vcpu0 pre_fault_memory gpa=" + range() + "\n"; }
  /// Pages of which the guest's root has a leaf.
  std::uint64_t mapped() const {
    const View& view = fixture_.backend().view();
    std::uint64_t count = 0;
    for (std::uint64_t gfn = 0; gfn < pages_; ++gfn)
      count += view.leaf({0}, view.current_root({0}), {gfn}).present ? 1u : 0u;
    return count;
  }
  Status expect_mapped(std::uint64_t count) const {
    if (failed_ != 0) return fail("an operation was refused");
    return mapped() == count ? Status{}
                             : fail("not " + std::to_string(count) + " pages are mapped, but " +
                                    std::to_string(mapped()));
  }

  ModelFixture fixture_;
  std::uint64_t pages_;
  bool large_;
  std::vector<Step> steps_;

 private:
  unsigned failed_ = 0;
};

class PreMap : public HostScenario {
 public:
  using HostScenario::HostScenario;
  Status setup() override {
    steps_ = steps_of(pre_map());
    return fixture_.open(snp_guest(pages_, large_) + make_private());
  }
  Status verify() override { return expect_mapped(pages_); }
};

/// Private to shared, and the unreachable pages back to the host: what a VMM does on a guest's
/// request.
class Convert : public HostScenario {
 public:
  using HostScenario::HostScenario;
  Status setup() override {
    steps_ = steps_of("set_memory_attributes vm=0 address=" + range() +
                      "\ngmem_punch_hole gmem=0 offset=" + range() + "\n");
    return fixture_.open(snp_guest(pages_, large_) + make_private() + pre_map());
  }
  Status verify() override {
    if (fixture_.backend().view().gmem({0}).resident_pages != 0)
      return fail("pages are still resident");
    return expect_mapped(0);
  }
};

template <class S>
Definition definition(const char* name, const char* page_size) {
  Definition made;
  made.name = name;
  made.backend = "model";
  made.parameters = {{"page_size", {page_size}, {}},
                     {"pages", {static_cast<std::int64_t>(kFramesPer1G)}, {1024}}};
  made.make = make_scenario<S>;
  made.floor = "floor/page_store";
  return made;
}

/// 4 KiB pages, times the stores that they cannot do without.
template <class S>
bool add_small(const char* name, const char* target) {
  Definition made = definition<S>(name, "4K");
  made.target = target;
  made.limit = 15.0;
  return add_benchmark(made);
}

template <class S>
Definition large(const char* name) {
  Definition made = definition<S>(name, "2M");
  made.label = "ahead of mainline";
  return made;
}

/// 2 MiB pages, as a share of what the same memory costs in 4 KiB pages.
bool add_large_convert() {
  Definition made = large<Convert>("model/convert");
  made.floor = "model/convert/4K";
  made.target = "M4";
  made.limit = 1.0 / 200;
  return add_benchmark(made);
}

const bool kAdded = add_small<PreMap>("model/premap", "M5") &&
                    add_small<Convert>("model/convert", "M4") &&
                    add_benchmark(large<PreMap>("model/premap")) && add_large_convert();

}  // namespace
}  // namespace sluice::bench
