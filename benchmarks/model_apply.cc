// What it costs to apply one operation (M2), to judge it (M3), to take a sequence back (M8), and to
// hold a large machine (M7).
#include <unistd.h>

#include <fstream>

#include "benchmarks/model_fixture.h"
#include "oracle/oracle.h"
#include "platform/clock.h"

namespace sluice::bench {
namespace {

// A little of everything that a running guest and its host do, in an order that comes back to where
// it began.
constexpr const char* kMix =
    "set_memory_attributes vm=0 address=0x4000 size=4K attributes=private\n"
    "gmem_allocate gmem=0 offset=0x4000 size=4K\n"
    "@vcpu0 pre_fault_memory gpa=0x4000 size=4K\n"
    "@vcpu0 pvalidate gfn=4\n"
    "@vcpu0 guest_access gfn=4 kind=write c_bit=1 value=7\n"
    "@vcpu0 guest_access gfn=4 c_bit=1\n"
    "@vcpu0 rmpadjust gfn=4 mask=1\n"
    "@vcpu0 pre_fault_memory gpa=0x4000 size=4K\n"
    "set_memory_attributes vm=0 address=0x4000 size=4K attributes=private\n"
    "@vcpu0 pvalidate gfn=4 validate=0\n"
    "set_memory_attributes vm=0 address=0x4000 size=4K\n"
    "gmem_punch_hole gmem=0 offset=0x4000 size=4K\n"
    "@vcpu0 guest_access gfn=4 kind=write value=9\n"
    "host_access hva=0x4000\n"
    "set_memory_region vm=0 slot=1 gpa=0x10000000 size=64K hva=0x1000000\n"
    "set_memory_region vm=0 slot=1\n";
constexpr std::uint64_t kGuestPages = 512;

/// The mix, `rounds` times; with the oracle after each operation or without.
class Mix : public Scenario {
 public:
  Mix(const Arguments& arguments, bool judged)
      : rounds_(arguments.number("rounds")), judged_(judged), steps_(steps_of(kMix)) {}
  Status setup() override { return fixture_.open(snp_guest(kGuestPages, false)); }
  void before() override { fixture_.reset(); }
  void run(unsigned) override {
    failed_ = findings_ = 0;
    if (judged_) oracle_.begin(fixture_.backend().view());
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      for (const Step& step : steps_) {
        failed_ += fixture_.backend().apply(step).ok() ? 0u : 1u;
        if (judged_) findings_ += oracle_.check(fixture_.backend().view()).has_value() ? 1u : 0u;
      }
    }
  }
  Status verify() override {
    if (findings_ != 0) return fail("the oracle found something");
    if (failed_ == 0) return {};
    fixture_.reset();
    for (const Step& step : steps_) {
      const Outcome outcome = fixture_.backend().apply(step);
      if (!outcome.ok())
        return fail(format_step(step) + " answered " + std::string(row_of(outcome.check).name));
    }
    return fail("operations were refused after the first round");
  }
  std::uint64_t items() const override { return rounds_ * steps_.size(); }
  Facts counters() const override {
    return {{.name = "journal_entries",
             .value = static_cast<std::int64_t>(
                 const_cast<Mix*>(this)->fixture_.backend().kernel().machine.journal.size())}};
  }

 private:
  ModelFixture fixture_;
  oracle::Oracle oracle_;
  std::uint64_t rounds_;
  bool judged_;
  std::vector<Step> steps_;
  unsigned failed_ = 0, findings_ = 0;
};
class MixAlone : public Mix {
 public:
  explicit MixAlone(const Arguments& arguments) : Mix(arguments, false) {}
};
class MixJudged : public Mix {
 public:
  explicit MixJudged(const Arguments& arguments) : Mix(arguments, true) {}
};

/// Reset after a sequence of 16 operations, as a share of running it. Several machines, so that the
/// clock is read seldom.
class Reset : public Scenario {
 public:
  explicit Reset(const Arguments& arguments)
      : machines_(arguments.number("machines")), steps_(steps_of(kMix)) {}
  Status setup() override {
    HostProfile profile = default_profile(kDefaultKernel);
    profile.frame_count = std::uint64_t{1} << 20;
    fixtures_.resize(machines_);
    for (ModelFixture& fixture : fixtures_) {
      if (Status opened = fixture.open(snp_guest(kGuestPages, false), profile); !opened)
        return opened;
    }
    return {};
  }
  void run(unsigned) override {
    for (unsigned round = 0; round < 50; ++round) {
      const std::uint64_t start = platform::thread_cpu_ns();
      for (ModelFixture& fixture : fixtures_) {
        for (const Step& step : steps_) failed_ += fixture.backend().apply(step).ok() ? 0u : 1u;
      }
      const std::uint64_t middle = platform::thread_cpu_ns();
      for (ModelFixture& fixture : fixtures_) fixture.reset();
      const std::uint64_t end = platform::thread_cpu_ns();
      running_ns_ += middle - start;
      reset_ns_ += end - middle;
    }
  }
  Status verify() override {
    if (failed_ != 0) return fail("an operation was refused");
    for (ModelFixture& fixture : fixtures_) {
      if (fixture.backend().kernel().machine.journal.size() != 0)
        return fail("a reset left entries in the journal");
    }
    return {};
  }
  std::uint64_t items() const override { return 50 * machines_; }
  std::optional<Bounded> bounded() const override {
    return Bounded{static_cast<double>(reset_ns_) / static_cast<double>(running_ns_),
                   "of running it"};
  }

 private:
  std::uint64_t machines_;
  std::vector<Step> steps_;
  std::vector<ModelFixture> fixtures_;
  std::uint64_t running_ns_ = 0, reset_ns_ = 0;
  unsigned failed_ = 0;
};

/// Resident memory, in MiB, that a 1 TiB machine takes with 1 GiB of guest memory mapped and
/// written to the RMP.
class Footprint : public Scenario {
 public:
  explicit Footprint(const Arguments& arguments) : pages_(arguments.number("pages")) {}
  Status setup() override {
    start_bytes_ = resident_bytes();
    const std::string all = "0x0 size=" + std::to_string(pages_ * kPageBytes);
    steps_ = steps_of("set_memory_attributes vm=0 address=" + all +
                      " attributes=private\n@vcpu0 pre_fault_memory gpa=" + all + "\n");
    return fixture_.open(snp_guest(pages_, false));
  }
  void before() override { fixture_.reset(); }
  void run(unsigned) override {
    failed_ = 0;
    for (const Step& step : steps_) failed_ += fixture_.backend().apply(step).ok() ? 0u : 1u;
    mebibytes_ = static_cast<double>(resident_bytes() - start_bytes_) / (1 << 20);
  }
  Status verify() override {
    if (failed_ != 0) return fail("an operation was refused");
    const std::uint64_t resident = fixture_.backend().view().gmem({0}).resident_pages;
    return resident == pages_ ? Status{} : fail("not every page is resident");
  }
  std::uint64_t items() const override { return pages_; }
  std::optional<Bounded> bounded() const override { return Bounded{mebibytes_, "MiB"}; }

 private:
  static std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t size = 0, resident = 0;
    statm >> size >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  ModelFixture fixture_;
  std::uint64_t pages_;
  std::uint64_t start_bytes_ = 0;
  double mebibytes_ = 0;
  std::vector<Step> steps_;
  unsigned failed_ = 0;
};

const Parameter kRounds{"rounds", {500}, {4}};
const bool kAdded =
    add_benchmark({.name = "model/apply",
                   .backend = "model",
                   .parameters = {kRounds},
                   .make = make_scenario<MixAlone>,
                   .unit = "ns/operation",
                   .target = "M2",
                   .limit = 20.0,
                   .limit_is_time = true}) &&
    add_benchmark({.name = "model/apply_judged",
                   .backend = "model",
                   .parameters = {kRounds},
                   .make = make_scenario<MixJudged>,
                   .unit = "ns/operation",
                   .floor = "model/apply",
                   .target = "M3",
                   .limit = 3.0,  // the oracle alone at most twice what it judges
                   .label = "operation and oracle together, over the operation alone"}) &&
    add_benchmark({.name = "model/reset",
                   .backend = "model",
                   .parameters = {{"machines", {16}, {2}}},
                   .make = make_scenario<Reset>,
                   .unit = "ns/sequence",
                   .target = "M8",
                   .limit = 0.15}) &&
    add_benchmark({.name = "model/footprint",
                   .backend = "model",
                   .parameters = {{"pages", {static_cast<std::int64_t>(kFramesPer1G)}, {1024}}},
                   .make = make_scenario<Footprint>,
                   .unit = "ns/page",
                   .target = "M7",
                   .limit = 48.0});

}  // namespace
}  // namespace sluice::bench
