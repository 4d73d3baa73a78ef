// The round trip from guest to user space and back on the real kernel: a port write of the guest
// program, each vCPU on a thread of its own.
#include <fmt/format.h>

#include <optional>

#include "benchmarks/kvm_support.h"
#include "kvm/stats.h"

namespace sluice::bench {
namespace {

class ExitRoundTrip : public Scenario {
 public:
  explicit ExitRoundTrip(const Arguments& arguments)
      : exits_(arguments.number("exits")),
        threads_(static_cast<unsigned>(arguments.number("threads"))) {}

  Status setup() override {
    OrRefusal<GuestMachine> machine = GuestMachine::open(threads_);
    if (!machine) return std::unexpected(machine.error());
    machine_.emplace(std::move(*machine));
    // Before the first run, so that verify() sees what the kernel counted of it.
    Expected<kvm::Stats> stats = kvm::Stats::open(machine_->kvm().sys(), machine_->vcpu(0).fd());
    if (!stats)
      return {};  // a kernel without binary statistics; the decoded exits are checked all the same
    stats_.emplace(std::move(*stats));
    exits_before_ = stats_->value("exits");
    return {};
  }
  void arrive(unsigned thread) override {
    const kvm::GuestExit exit = machine_->guest(thread).start_exits().exit;
    if (exit.kind != kvm::ExitKind::kDone)
      note_failure(fmt::format("the guest ended with {}", kvm::name_of(exit.kind)));
  }
  void run(unsigned thread) override {
    kvm::Guest& guest = machine_->guest(thread);
    for (std::uint64_t i = 0; i < exits_; ++i) {
      const kvm::GuestExit exit = guest.next_exit();
      if (exit.kind != kvm::ExitKind::kDone) {
        return note_failure(fmt::format("exit {} was {}", i, kvm::name_of(exit.kind)));
      }
    }
  }
  Status verify() override {
    if (!stats_) return {};
    if (Expected<void> read = stats_->refresh(); !read) return fail(read.error());
    const std::optional<std::uint64_t> now = stats_->value("exits");
    if (now && exits_before_ && *now < *exits_before_ + exits_) {
      return fail(
          fmt::format("the kernel counted {} exits, not {}", *now - *exits_before_, exits_));
    }
    return {};
  }
  std::uint64_t items() const override { return exits_ * threads_; }

 private:
  std::uint64_t exits_;
  unsigned threads_;
  std::optional<GuestMachine> machine_;
  std::optional<kvm::Stats> stats_;
  std::optional<std::uint64_t> exits_before_;
};

const bool kAdded =
    add_benchmark({.name = "kvm/exit_round_trip",
                   .backend = "kvm",
                   .parameters = {{"exits", {2000}, {50}}, {"threads", {1, 2}, {1, 2}}},
                   .make = make_scenario<ExitRoundTrip>,
                   .unit = "ns/exit"});

}  // namespace
}  // namespace sluice::bench
