// How the cost of a page grows with its guest (M6): pre-map of a large guest and of a small one,
// each over the stores that any implementation must make for as many pages.
#include "benchmarks/model_fixture.h"
#include "benchmarks/page_store.h"
#include "platform/clock.h"

namespace sluice::bench {
namespace {

/// A guest of some size, and the tables that its floor stores into.
class Guest {
 public:
  /// Everything is new afterwards, so that each first touch is paid by whoever makes it.
  Status open(std::uint64_t pages) {
    const std::uint64_t call = std::min(pages, kPagesPerCall);
    steps_.clear();
    for (std::uint64_t page = 0; page < pages; page += call) {
      for (Step& step :
           steps_of("@vcpu0 pre_fault_memory gpa=" + std::to_string(page * kPageBytes) +
                    " size=" + std::to_string(call * kPageBytes) + "\n"))
        steps_.push_back(std::move(step));
    }
    if (Status opened = tables_.open(pages); !opened) return opened;
    return fixture_.open(snp_guest(pages, false) + "set_memory_attributes vm=0 address=0 size=" +
                         std::to_string(pages * kPageBytes) + " attributes=private\n");
  }

  /// CPU nanoseconds of a pre-map of all pages. The journal is emptied between calls, untimed: it
  /// has no room for a large guest.
  std::uint64_t pre_map() {
    std::uint64_t total = 0;
    for (const Step& step : steps_) {
      const std::uint64_t start = platform::thread_cpu_ns();
      failed_ += fixture_.backend().apply(step).ok() ? 0u : 1u;
      total += platform::thread_cpu_ns() - start;
      fixture_.backend().kernel().machine.journal.commit();
    }
    return total;
  }
  std::uint64_t store() {
    const std::uint64_t start = platform::thread_cpu_ns();
    tables_.store();
    return platform::thread_cpu_ns() - start;
  }
  Status verify() const {
    if (failed_ != 0) return fail("an operation was refused");
    const View& view = fixture_.backend().view();
    if (view.gmem({0}).resident_pages != tables_.pages()) return fail("not every page is resident");
    for (std::uint64_t gfn = 0; gfn < tables_.pages(); ++gfn) {
      if (!view.leaf({0}, view.current_root({0}), {gfn}).present)
        return fail("page " + std::to_string(gfn) + " is not mapped");
    }
    return tables_.is_stored() ? Status{} : fail("a page was not stored");
  }

 private:
  static constexpr std::uint64_t kPagesPerCall = kFramesPer1G;
  ModelFixture fixture_;
  PageStoreTables tables_;
  std::vector<Step> steps_;
  unsigned failed_ = 0;
};

/// Pre-map of `pages` pages and of a guest a thousandth of that.
class Growth : public Scenario {
 public:
  explicit Growth(const Arguments& arguments) : pages_(arguments.number("pages")) {}
  Status setup() override { return open(); }
  void before() override {
    if (Status opened = open(); !opened) note_failure(opened.error().reason);
  }
  void run(unsigned) override {
    large_ns_ += large_.pre_map();
    large_floor_ns_ += large_.store();
    for (Guest& guest : small_) {
      small_ns_ += guest.pre_map();
      small_floor_ns_ += guest.store();
    }
  }
  Status verify() override {
    for (const Guest& guest : small_) {
      if (Status fine = guest.verify(); !fine) return fine;
    }
    return large_.verify();
  }
  std::uint64_t items() const override { return pages_ + kSmallGuests * pages_ / kRatio; }
  std::optional<Bounded> bounded() const override {
    const auto over = [](std::uint64_t ns, std::uint64_t floor_ns) {
      return static_cast<double>(ns) / static_cast<double>(floor_ns);
    };
    return Bounded{over(large_ns_, large_floor_ns_) / over(small_ns_, small_floor_ns_),
                   "times the small guest's ratio to its floor"};
  }

 private:
  static constexpr std::uint64_t kRatio = 1024, kSmallGuests = 16;
  Status open() {
    small_ = std::vector<Guest>(kSmallGuests);
    large_ = Guest{};
    for (Guest& guest : small_) {
      if (Status opened = guest.open(pages_ / kRatio); !opened) return opened;
    }
    return large_.open(pages_);
  }
  std::uint64_t pages_;
  Guest large_;
  std::vector<Guest> small_;
  std::uint64_t large_ns_ = 0, large_floor_ns_ = 0, small_ns_ = 0, small_floor_ns_ = 0;
};

const bool kAdded = add_benchmark(
    {.name = "model/growth",
     .backend = "model",
     .parameters = {{"pages", {static_cast<std::int64_t>(64 * kFramesPer1G)}, {65536}}},
     .make = make_scenario<Growth>,
     .target = "M6",
     .limit = 1.25,
     .repetitions = 3,
     .label = "64 GiB over 64 MiB"});

}  // namespace
}  // namespace sluice::bench
