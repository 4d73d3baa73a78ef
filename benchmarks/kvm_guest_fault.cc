// Guest demand faults on the real kernel: guest code writes each page for the first time. With the
// host's page absent a fault pays for allocating it, with the page present for the guest's mapping
// alone. Each vCPU on a thread of its own, on its own share. Source: kvm.md 4, 5; Linux
// arch/x86/kvm/mmu/mmu.c kvm_mmu_page_fault().
#include <fmt/format.h>

#include <optional>

#include "benchmarks/kvm_guest_memory.h"
#include "kvm/stats.h"

namespace sluice::bench {
namespace {

class GuestFault : public Scenario {
 public:
  explicit GuestFault(const Arguments& arguments)
      : faults_(arguments.number("pages")),
        threads_(static_cast<unsigned>(arguments.number("threads"))),
        huge_(arguments.text("page_size") == "2M"),
        gmem_(arguments.text("memory") == "guest_memfd"),
        present_(arguments.text("host_page") == "present") {}

  Status setup() override {
    OrRefusal<GuestMachine> machine = GuestMachine::open(threads_);
    if (!machine) return std::unexpected(machine.error());
    machine_.emplace(std::move(*machine));
    OrRefusal<GuestMemory> memory = GuestMemory::open(
        machine_->vm(), {.pages = faults_ * stride() / kPageBytes, .gmem = gmem_, .huge = huge_});
    if (!memory) return std::unexpected(memory.error());
    memory_.emplace(std::move(*memory));
    return {};
  }

  void before() override {
    const Status ready = present_ ? present_again() : memory_->make_absent();
    if (!ready) note_failure(ready.error().reason);
  }

  /// One exit on the thread that will run the vCPU: a vCPU's first entry on a new thread costs
  /// extra.
  void arrive(unsigned thread) override { check(machine_->guest(thread).start_exits()); }

  void run(unsigned thread) override {
    const Share mine = share_of(faults_, thread, threads_);
    check(
        machine_->guest(thread).touch(Gpa{mine.begin * stride()}, stride(), mine.end - mine.begin));
  }

  Status verify() override {
    for (std::uint64_t i = 0; i < faults_; ++i) {
      const Gpa gpa{i * stride()};  // the guest writes each place's own address there
      if (memory_->word_at(gpa) != gpa.value)
        return fail(fmt::format("guest address {:#x} was not written", gpa.value));
    }
    return huge_ ? mapped_huge() : Status{};
  }

  std::uint64_t items() const override { return faults_; }

 private:
  std::uint64_t stride() const { return huge_ ? kBytesPer2M : kPageBytes; }

  Status present_again() {
    if (Status ok = memory_->make_present(); !ok) return ok;
    return memory_->unmap_from_guest(machine_->vm());
  }

  void check(const kvm::CommandResult& result) {
    if (result.exit.kind == kvm::ExitKind::kDone) return;
    note_failure(fmt::format("the guest ended with {} (errno {})", kvm::name_of(result.exit.kind),
                             result.exit.error));
  }

  /// That KVM maps 2 MiB at a time depends on the host (huge pages allowed, nested paging).
  Status mapped_huge() const {
    Expected<kvm::Stats> stats = kvm::Stats::open(machine_->vm().sys(), machine_->vm().fd());
    if (!stats)
      return skip("whether KVM maps 2 MiB pages is not to be seen: " + stats.error().message());
    const std::uint64_t count = stats->value("pages_2m").value_or(0);
    if (count >= faults_) return {};
    return skip(
        fmt::format("KVM maps {} of {} regions with 2 MiB pages here (pages_2m)", count, faults_));
  }

  std::uint64_t faults_;
  unsigned threads_;
  bool huge_;
  bool gmem_;
  bool present_;
  std::optional<GuestMachine> machine_;
  std::optional<GuestMemory> memory_;
};

const bool kAdded = add_benchmark({.name = "kvm/guest_fault",
                                   .backend = "kvm",
                                   .parameters = {{"pages", {4096}, {64}},
                                                  {"page_size", {"4K"}},
                                                  {"memory", {"anonymous", "guest_memfd"}},
                                                  {"host_page", {"absent", "present"}},
                                                  {"threads", {1, 2}, {1, 2}}},
                                   .make = make_scenario<GuestFault>}) &&
                    add_benchmark({.name = "kvm/guest_fault",
                                   .backend = "kvm",
                                   .parameters = {{"pages", {32}, {2}},
                                                  {"page_size", {"2M"}},
                                                  {"memory", {"anonymous"}},
                                                  {"host_page", {"absent", "present"}},
                                                  {"threads", {1, 2}, {1, 2}}},
                                   .make = make_scenario<GuestFault>});

}  // namespace
}  // namespace sluice::bench
