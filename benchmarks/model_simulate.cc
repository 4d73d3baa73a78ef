// What a simulated event costs (M10): 256 vCPUs that pre-map their memory, or convert it to and
// fro.
#include "benchmarks/model_fixture.h"
#include "platform/clock.h"
#include "run/simulate.h"

namespace sluice::bench {
namespace {

class Simulate : public Scenario {
 public:
  explicit Simulate(const Arguments& arguments) : pages_(arguments.number("pages")) {}
  Status setup() override {
    auto opened = model::ModelBackend::open(default_profile(kDefaultKernel));
    if (!opened) return fail(opened.error());
    model_.emplace(std::move(*opened));
    return {};
  }
  void run(unsigned) override {
    const std::uint64_t start = platform::thread_cpu_ns();
    for (const auto workload : {run::SimulatedWorkload::kPremap, run::SimulatedWorkload::kPingPong})
      simulate(workload);
    spent_ns_ += platform::thread_cpu_ns() - start;
  }
  Status verify() override {
    return wrong_ == 0 ? Status{} : fail("a simulation was refused, or lost pages");
  }
  std::uint64_t items() const override { return 2 * run::kMaxSimulatedVcpus * pages_; }
  std::optional<Bounded> bounded() const override {
    return Bounded{static_cast<double>(spent_ns_) / static_cast<double>(events_), "ns an event"};
  }

 private:
  void simulate(run::SimulatedWorkload workload) {
    const auto result = run::simulate(
        *model_, {.workload = workload, .vcpus = run::kMaxSimulatedVcpus, .pages = pages_});
    const bool right =
        result && result->refused == 0 && result->pages == run::kMaxSimulatedVcpus * pages_;
    wrong_ += right ? 0u : 1u;
    if (result) events_ += result->events;
  }
  std::optional<model::ModelBackend> model_;
  std::uint64_t pages_;
  std::uint64_t spent_ns_ = 0, events_ = 0;
  unsigned wrong_ = 0;
};

const bool kAdded = add_benchmark({.name = "model/simulate",
                                   .backend = "model",
                                   .parameters = {{"pages", {64}, {16}}},
                                   .make = make_scenario<Simulate>,
                                   .unit = "ns/page",
                                   .target = "M10",
                                   .limit = 200.0});

}  // namespace
}  // namespace sluice::bench
