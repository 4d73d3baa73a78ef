// What an interleaving point costs an operation that stops there (M9): the same pre-fault straight
// through, and parked and resumed at every point on its way.
#include "benchmarks/model_fixture.h"
#include "platform/clock.h"

namespace sluice::bench {
namespace {

class Interleaving : public Scenario {
 public:
  explicit Interleaving(const Arguments& arguments) : rounds_(arguments.number("rounds")) {}
  Status setup() override {
    const std::string pre_fault = "@vcpu0 pre_fault_memory gpa=0 size=64K";
    straight_ = steps_of(pre_fault + "\n").front();
    parked_ = steps_of(pre_fault + " park=1\n").front();
    resume_ = steps_of("resume vcpu0 park=1\n").front();
    // Mapped once and for all, so that every round does the same.
    return fixture_.open(snp_guest(512, false) +
                         "set_memory_attributes vm=0 address=0 size=2M attributes=private\n" +
                         pre_fault + "\n");
  }
  void before() override { fixture_.reset(); }
  void run(unsigned) override {
    model::ModelBackend& backend = fixture_.backend();
    const std::uint64_t start = platform::thread_cpu_ns();
    for (std::uint64_t round = 0; round < rounds_; ++round)
      failed_ += backend.apply(straight_).ok() ? 0u : 1u;
    const std::uint64_t middle = platform::thread_cpu_ns();
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      Outcome outcome = backend.apply(parked_);
      for (; outcome.progression == Progression::kParked; ++points_)
        outcome = backend.apply(resume_);
      failed_ += outcome.ok() ? 0u : 1u;
    }
    straight_ns_ += middle - start;
    parked_ns_ += platform::thread_cpu_ns() - middle;
  }
  Status verify() override {
    if (failed_ != 0) return fail("an operation was refused");
    return points_ >= rounds_ ? Status{} : fail("the pre-fault passes no point");
  }
  std::uint64_t items() const override { return 2 * rounds_; }
  std::optional<Bounded> bounded() const override {
    const double extra = static_cast<double>(parked_ns_) - static_cast<double>(straight_ns_);
    return Bounded{extra / static_cast<double>(points_), "ns extra a point"};
  }

 private:
  ModelFixture fixture_;
  std::uint64_t rounds_;
  Step straight_{}, parked_{}, resume_{};
  std::uint64_t points_ = 0, straight_ns_ = 0, parked_ns_ = 0;
  unsigned failed_ = 0;
};

const bool kAdded = add_benchmark({.name = "model/interleaving",
                                   .backend = "model",
                                   .parameters = {{"rounds", {500}, {4}}},
                                   .make = make_scenario<Interleaving>,
                                   .unit = "ns/operation",
                                   .target = "M9",
                                   .limit = 30.0});

}  // namespace
}  // namespace sluice::bench
