// For tests of this folder: a small host with one kernel, and short ways to say what happens on it.
#pragma once
#include <memory>
#include <vector>

#include "model/host/attributes.h"
#include "model/host/fault.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/tdp_mmu.h"
#include "model/host/vcpu_mode.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {

inline constexpr ActorId kVmm0{.kind = ActorKind::kVmm, .index = 0};
inline constexpr ActorId kVmm1{.kind = ActorKind::kVmm, .index = 1};
inline constexpr ActorId kVcpu0{.kind = ActorKind::kVcpu, .index = 0};
inline constexpr ActorId kVcpu1{.kind = ActorKind::kVcpu, .index = 1};
inline constexpr std::uint64_t k2M = kBytesPer2M;

/// A machine, a scheduler and a kernel. Thread: compatible.
class Host {
 public:
  explicit Host(KernelVersion version = kDefaultKernel) : Host(profile_of(version)) {}
  explicit Host(const HostProfile& profile)
      : machine_(*Machine::open(profile)), scheduler_(machine_.arena) {
    machine_.header.kernel = profile.version;
    kernel_ = *Kernel::open(machine_, scheduler_);
  }

  /// 4 GiB of frames: more than any test touches.
  static HostProfile profile_of(KernelVersion version) {
    HostProfile profile = default_profile(version);
    profile.frame_count = std::uint64_t{1} << 20;
    return profile;
  }

  Kernel& k() { return *kernel_; }
  Machine& machine() { return machine_; }
  Scheduler& scheduler() { return scheduler_; }
  Vm& vm() { return kernel_->vms[0]; }

  /// The straight driver.
  template <class Op>
  Outcome run(const Op& op, ActorId actor = default_actor_of<Op>()) {
    kernel_->begin_step();
    machine_.events.clear();
    return apply(*kernel_, actor, op);
  }
  /// The coroutine driver, stopped at its `park`-th point (0: run to its end).
  template <class Op>
  Outcome run_stoppable(const Op& op, ActorId actor, std::uint8_t park = 0) {
    kernel_->begin_step();
    scheduler_.begin_step();
    auto kept = std::make_unique<Op>(op);
    const Op& in_flight = *kept;
    const Outcome out = scheduler_.run(
        actor, park, [this, actor, &in_flight] { return start(*kernel_, actor, in_flight); });
    kept_.push_back(std::shared_ptr<void>(std::move(kept)));
    return out;
  }
  Outcome resume(ActorId actor) {
    kernel_->begin_step();
    scheduler_.begin_step();
    return scheduler_.resume(actor, 0);
  }
  void drain() { scheduler_.drain(); }

  /// An operation of the set-up: a test whose set-up fails would test something else.
  template <class Op>
  void succeed(const Op& op) {
    const Outcome outcome = run(op);
    SLUICE_CHECK(outcome.ok());
  }

  /// A VM of this type with one vCPU and one slot of `size` at GPA 0, bound to a guest_memfd of the
  /// same size if the type has private memory.
  void boot(VmType type, std::uint64_t size) {
    succeed(CreateVm{.type = type});
    succeed(CreateVcpu{});
    SetMemoryRegion region{.size = {size}};
    if (vm().has_private_memory()) {
      succeed(CreateGuestMemfd{.size = {size}});
      region.flags = {kMemGuestMemfd};
      region.gmem = {0};
    }
    succeed(region);
  }

  LeafView leaf(std::uint64_t gfn, unsigned vcpu = 0) {
    const std::uint8_t root = kernel_->vcpus[vcpu].root;
    return root == kNoRootIndex ? LeafView{} : lookup_leaf(*kernel_, vm(), root, Gfn{gfn});
  }
  GmemPageView page(std::uint64_t index) { return view_page(*kernel_, kernel_->gmems[0], index); }

  std::size_t count_events(EventKind kind) const {
    std::size_t count = 0;
    for (const Event& event : machine_.events.events()) count += event.kind == kind ? 1 : 0;
    return count;
  }

 private:
  template <class Op>
  static constexpr ActorId default_actor_of() {
    return {.kind = Op::kInfo.actor, .index = 0};
  }
  Machine machine_;
  Scheduler scheduler_;
  std::unique_ptr<Kernel> kernel_;
  std::vector<std::shared_ptr<void>> kept_;  // operations in flight refer to these
};

inline SetMemoryAttributes convert(std::uint64_t gpa, std::uint64_t size, bool to_private) {
  return {.address = {gpa}, .size = {size}, .attributes = {to_private ? kAttributePrivate : 0}};
}
inline PreFaultMemory pre_fault(std::uint64_t gpa, std::uint64_t size) {
  return {.gpa = {gpa}, .size = {size}};
}

}  // namespace sluice::model
