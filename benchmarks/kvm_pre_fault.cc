// KVM_PRE_FAULT_MEMORY on the real kernel: one ioctl maps a range before the guest touches it.
// Shared memory needs the capability alone; private memory a protected VM with memory attributes.
// Source: kvm.md 4; Linux virt/kvm/kvm_main.c kvm_vcpu_pre_fault_memory().
#include <fmt/format.h>

#include <cerrno>
#include <optional>

#include "benchmarks/kvm_guest_memory.h"
#include "kvm/stats.h"

namespace sluice::bench {
namespace {

class PreFault : public Scenario {
 public:
  explicit PreFault(const Arguments& arguments)
      : pages_(arguments.number("pages")),
        private_(arguments.text("memory") == "private"),
        present_(arguments.text("host_page") == "present") {}

  Status setup() override {
    if (Status has = host_has_it(); !has) return has;
    OrRefusal<GuestMachine> machine =
        GuestMachine::open(1, private_ ? kvm::uapi::kVmTypeSwProtected : kvm::uapi::kVmTypeDefault);
    if (!machine) return std::unexpected(machine.error());
    machine_.emplace(std::move(*machine));
    const kvm::Vm& vm = machine_->vm();
    if (private_) {
      const Status has = require(vm, kvm::uapi::kCapMemoryAttributes, "KVM_CAP_MEMORY_ATTRIBUTES",
                                 kvm::uapi::kAttributePrivate);
      if (!has) return has;
    }
    OrRefusal<GuestMemory> memory =
        GuestMemory::open(vm, {.pages = pages_, .gmem = private_, .is_private = private_});
    if (!memory) return std::unexpected(memory.error());
    memory_.emplace(std::move(*memory));
    if (!private_) return {};
    return worked(vm.set_memory_attributes(
                      {.address = 0, .size = bytes(), .attributes = kvm::uapi::kAttributePrivate}),
                  "make the range private");
  }

  void before() override {
    const Status ready = present_ ? present_again() : memory_->make_absent();
    if (!ready) note_failure(ready.error().reason);
  }

  /// Enters the guest once after the slot was deleted: only an entry drops the vCPU's obsolete
  /// roots, and on 6.12 a pre-fault with one retries inside the kernel for ever (bugs.md 1).
  void arrive(unsigned) override {
    if (machine_->guest(0).start_exits().exit.kind != kvm::ExitKind::kDone)
      note_failure("the guest does not run");
  }

  /// Loops as user space must: the kernel hands the rest back on EINTR and EAGAIN. It may do so for
  /// ever (6.12, bugs.md 1).
  void run(unsigned) override {
    kvm::uapi::PreFaultMemory range{.gpa = 0, .size = bytes()};
    unsigned in_vain = 0;
    while (range.size != 0) {
      const std::uint64_t left = range.size;
      const kvm::SysResult done = machine_->vcpu(0).pre_fault(range);
      if (!done.ok() && done.error != EINTR && done.error != EAGAIN) {
        return note_failure(
            SystemError{.number = done.error, .what = "KVM_PRE_FAULT_MEMORY"}.message());
      }
      in_vain = range.size == left ? in_vain + 1 : 0;
      if (in_vain == kMaxInVain)
        return note_failure("KVM_PRE_FAULT_MEMORY made no progress in 1000 calls");
    }
  }

  /// The guest then finds every page: reading them all adds next to no fault. Reading, not writing:
  /// pre-fault maps for reading, so memory that was never written gets the zero page, and a first
  /// write faults all the same.
  Status verify() override {
    if (Status warm = read_page(0); !warm) return warm;  // the guest program's own pages
    const std::optional<std::uint64_t> before = page_faults();
    for (std::uint64_t page = 0; page < pages_; ++page) {
      if (Status read = read_page(page); !read) return read;
    }
    const std::optional<std::uint64_t> now = page_faults();
    if (!before || !now)
      return {};  // this kernel does not count them; that the range is done was seen
    if (*now - *before > pages_ / 8)
      return fail(fmt::format("the guest took {} faults for {} pages", *now - *before, pages_));
    return {};
  }

  std::uint64_t items() const override { return pages_; }

 private:
  /// Asked of a default VM first: a kernel without pre-fault then names it, not the VM type it
  /// lacks as well.
  static Status host_has_it() {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    OrRefusal<kvm::Vm> vm = open_vm(*kvm);
    if (!vm) return std::unexpected(vm.error());
    return require(*vm, kvm::uapi::kCapPreFaultMemory, "KVM_CAP_PRE_FAULT_MEMORY");
  }
  std::uint64_t bytes() const { return pages_ * kPageBytes; }
  Status present_again() {
    if (Status ok = memory_->make_present(); !ok) return ok;
    return memory_->unmap_from_guest(machine_->vm());
  }
  Status read_page(std::uint64_t page) {
    const kvm::CommandResult read = machine_->guest(0).read(Gpa{page * kPageBytes});
    if (read.exit.kind == kvm::ExitKind::kDone) return {};
    return fail(fmt::format("page {}: the guest ended with {} after the pre-fault", page,
                            kvm::name_of(read.exit.kind)));
  }
  std::optional<std::uint64_t> page_faults() const {
    Expected<kvm::Stats> stats = kvm::Stats::open(machine_->kvm().sys(), machine_->vcpu(0).fd());
    if (!stats) return std::nullopt;
    return stats->value("pf_taken");
  }

  static constexpr unsigned kMaxInVain = 1000;
  std::uint64_t pages_;
  bool private_;
  bool present_;
  std::optional<GuestMachine> machine_;
  std::optional<GuestMemory> memory_;
};

const bool kAdded = add_benchmark({.name = "kvm/pre_fault",
                                   .backend = "kvm",
                                   .parameters = {{"pages", {4096}, {64}},
                                                  {"page_size", {"4K"}},
                                                  {"memory", {"shared", "private"}},
                                                  {"host_page", {"absent", "present"}}},
                                   .make = make_scenario<PreFault>});

}  // namespace
}  // namespace sluice::bench
