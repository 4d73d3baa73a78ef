// Opening, resetting and dispatch; the operations are in backend_*.cc.
#include "kvm/kvm_backend.h"

#include <algorithm>
#include <cerrno>

#include "kvm/outcomes.h"
#include "kvm/payload/payload.h"
#include "trace/step_rules.h"

namespace sluice::kvm {
namespace {

constexpr std::size_t kMaxRecycled = 4;
constexpr std::size_t kMaxConverted = 16;  // more ranges than that: a new VM is cheaper

bool touches_payload(std::uint64_t gpa, std::uint64_t size) {
  const std::uint64_t begin = kPayloadGpa.value, end = begin + kPayloadBytes.value;
  return gpa < end && (size > ~gpa || gpa + size > begin);
}

/// True if the operation names the payload's slot or memory.
bool is_in_the_way(const Op& op) {
  if (const auto* region = std::get_if<SetMemoryRegion>(&op)) {
    return (region->slot.value & 0xffff) == kPayloadSlot ||
           touches_payload(region->gpa.value, region->size.value);
  }
  if (const auto* attributes = std::get_if<SetMemoryAttributes>(&op)) {
    return touches_payload(attributes->address.value, attributes->size.value);
  }
  if (const auto* range = std::get_if<PreFaultMemory>(&op)) {
    return touches_payload(range->gpa.value, range->size.value);
  }
  if (const auto* access = std::get_if<GuestAccess>(&op)) {
    return touches_payload(address_of(access->gfn).value, kPageBytes);
  }
  if (const auto* convert = std::get_if<MapGpaRange>(&op)) {
    // A longer range is refused by the kernel, or skipped.
    return convert->page_count.value <= kMaxOperationBytes / kPageBytes &&
           touches_payload(convert->gpa.value, convert->page_count.value * kPageBytes);
  }
  return false;
}

}  // namespace

KvmBackend::KvmBackend(Kvm kvm, ProbeResult probe, HostRegion region, PayloadMemory payload,
                       const Options& options)
    : kvm_(std::move(kvm)),
      probe_(std::move(probe)),
      profile_(profile_of(probe_)),
      region_(std::move(region)),
      payload_(std::move(payload)),
      deadline_(options.limits),
      reuse_vms_(options.reuse_vms) {
  recycled_.reserve(kMaxRecycled);
  view_.set_profile(profile_);
}

KvmBackend::~KvmBackend() = default;

Expected<std::unique_ptr<KvmBackend>> KvmBackend::open(Options options) {
  Syscalls& sys = options.sys != nullptr ? *options.sys : kernel_syscalls();
  auto kvm = Kvm::open(sys);
  if (!kvm) return std::unexpected(kvm.error());
  Expected<ProbeResult> known =
      options.known ? Expected<ProbeResult>(*options.known) : kvm::probe(*kvm);
  if (!known) return std::unexpected(known.error());
  auto region = HostRegion::open(sys);
  if (!region) return std::unexpected(region.error());
  auto payload = PayloadMemory::open(sys);
  if (!payload) return std::unexpected(payload.error());
  return std::unique_ptr<KvmBackend>(new KvmBackend(
      std::move(*kvm), std::move(*known), std::move(*region), std::move(*payload), options));
}

void KvmBackend::look_ahead(std::span<const Step> steps) {
  payload_allowed_ = true;
  fresh_vms_ = steps.empty();
  runs_guest_ = false;
  for (const Step& step : steps) {
    if (is_in_the_way(step.op)) payload_allowed_ = false;
    // CPUID is fixed once a vCPU ran, and without nested paging a VM remembers for good that it had
    // a memslot (kvm.md 4, ENOSPC): such a sequence could tell a recycled VM from a new one.
    if (is_one_of<SetCpuid>(step.op)) fresh_vms_ = true;
    runs_guest_ = runs_guest_ || is_one_of<GuestAccess, MapGpaRange>(step.op);
    if (is_one_of<PreFaultMemory>(step.op) && !probe_.tdp) fresh_vms_ = true;
  }
}

Expected<void> KvmBackend::reset(const SequenceHeader& header, std::span<const Step> steps) {
  // Before files and memory go: deleting a slot unbinds its guest_memfd, and nothing is torn down
  // behind the back of a VM that stays.
  for (std::optional<LiveVm>& vm : vms_) {
    if (vm) recycle(std::move(*vm));
    vm.reset();
  }
  for (Gmem& gmem : gmems_) static_cast<void>(gmem.close());
  vcpu_vm_ = {};
  if (auto renewed = region_.renew(); !renewed) return renewed;
  look_ahead(steps);
  header_ = header;
  hung_ = false;
  skip_reason_.clear();
  view_.start(header);
  return {};
}

void KvmBackend::recycle(LiveVm vm) {
  if (!reuse_vms_ || !vm.reusable || recycled_.size() == kMaxRecycled) return;
  if (clean(vm)) recycled_.push_back(std::move(vm));
}

/// Takes slots and conversions back; false if the kernel refused one, or it is not worth it.
bool KvmBackend::clean(LiveVm& vm) {
  for (const LiveSlot& slot : vm.slots) {
    if (!vm.vm.delete_slot(slot.slot).ok()) return false;
  }
  vm.slots.clear();
  if (vm.converted.size() > kMaxConverted) return false;
  for (const GpaRange& range : vm.converted) {
    if (!vm.vm.set_memory_attributes({.address = range.gpa, .size = range.size}).ok()) return false;
  }
  vm.converted.clear();
  vm.had_sequence_slot = false;
  for (std::unique_ptr<LiveVcpu>& vcpu : vm.vcpus) {
    if (!vcpu) continue;
    if (vcpu->chosen_cpuid) return false;
    if (vcpu->smm && !set_smm(vcpu->vcpu, false).ok()) return false;
    vcpu->smm = false;
    vcpu->bound = false;
  }
  return renew_roots(vm);
}

/// A pre-fault may meet an obsolete root for ever (behavior::prefault_renews_obsolete_root).
/// Deleting a slot leaves vCPUs with one; a root that a call behind all slots has loaded becomes
/// one when the next sequence deletes a slot. Switching long mode on or off drops the roots.
bool KvmBackend::renew_roots(LiveVm& vm) {
  if (!probe_.tdp) return true;
  for (std::unique_ptr<LiveVcpu>& vcpu : vm.vcpus) {
    if (!vcpu) continue;
    const auto switched = vcpu->in_long_mode ? vcpu->guest.stop() : vcpu->guest.start();
    if (!switched) return false;
    vcpu->in_long_mode = !vcpu->in_long_mode;
  }
  return true;
}

std::optional<LiveVm> KvmBackend::take_recycled(VmType type) {
  if (fresh_vms_) return std::nullopt;
  const auto at = std::ranges::find(recycled_, type, &LiveVm::type);
  if (at == recycled_.end()) return std::nullopt;
  LiveVm vm = std::move(*at);
  *at = std::move(recycled_.back());
  recycled_.pop_back();
  if (vm.payload_installed && !payload_allowed_) {
    if (!payload_.remove(vm.vm).ok() || !renew_roots(vm)) return std::nullopt;
    vm.payload_installed = false;
  }
  return vm;
}

/// After a hang nothing of the kernel's state is known: every VM of the sequence is given up.
void KvmBackend::abandon() {
  for (std::optional<LiveVm>& vm : vms_) {
    if (vm) vm->reusable = false;
  }
}

Outcome KvmBackend::skip(Check check, std::string reason) {
  skip_reason_ = std::move(reason);
  return outcome_of(check);
}

Outcome KvmBackend::skip(Capability capability) {
  skip_reason_ = "needs " + std::string(name_of(capability));
  Outcome out = outcome_of(Check::kSkipCapability);
  out.capability = static_cast<std::uint8_t>(capability);
  return out;
}

Outcome KvmBackend::apply(const Step& step) {
  skip_reason_.clear();
  hung_ = false;
  const Outcome outcome = dispatch(step);
  view_.answer(step, outcome, hung_);
  return outcome;
}

Outcome KvmBackend::dispatch(const Step& step) {
  if (const Check rule = sluice::skip_reason(header_, step); rule != Check::kOk) {
    return skip(rule, std::string(row_of(rule).source));
  }
  if (step.park != 0) return skip(Capability::kParking);
  DeadlineScope scope(deadline_);
  Outcome outcome = std::visit([&](const auto& op) { return run(step, op); }, step.op);
  if (scope.finish()) {
    // The call had returned at the deadline's signal only; what it answered after that is no answer
    // to the operation, except that a guest that never leaves is one (kLoop).
    hung_ = true;
    abandon();
  }
  return outcome;
}

KvmBackend::Acting KvmBackend::acting_vcpu(const Step& step) {
  const std::optional<VmIndex> at = vcpu_vm_[step.actor.index];
  if (!at) return {};
  LiveVm* const vm = vm_of(*at);
  return {.vm = vm, .vcpu = vm->vcpus[step.actor.index].get()};
}

bool KvmBackend::inside_region(std::uint64_t address, std::uint64_t size) const {
  return address >= region_.base() && address - region_.base() <= HostRegion::kBytes &&
         size <= HostRegion::kBytes - (address - region_.base());
}

// What only the model, or a host with the hardware, can do.
Outcome KvmBackend::run(const Step&, const RmpUpdate&) {
  return skip(Capability::kRmpInstructions);
}
Outcome KvmBackend::run(const Step&, const Psmash&) { return skip(Capability::kRmpInstructions); }
Outcome KvmBackend::run(const Step&, const RmpRead&) { return skip(Capability::kRmpInstructions); }
Outcome KvmBackend::run(const Step&, const HostStore&) {
  return skip(Capability::kRmpInstructions);
}
Outcome KvmBackend::run(const Step&, const Pvalidate&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const RmpAdjust&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const RmpQuery&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const SevInit2&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const LaunchStart&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const LaunchUpdate&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const LaunchFinish&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const PscMsr&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const Psc&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GhcbWriteHeader&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GhcbWriteEntry&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GuestConvert&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const TdxInitVm&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const TdxInitVcpu&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const TdxInitMemRegion&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const TdxFinalize&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const TdAccept&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const TdMapGpa&) { return skip(Capability::kTdx); }
Outcome KvmBackend::run(const Step&, const ApCreation&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GhcbMmio&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GhcbPortIo&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const GhcbWriteScratch&) { return skip(Capability::kSnp); }
Outcome KvmBackend::run(const Step&, const SeamcallContention&) {
  return skip(Capability::kAdversity);
}
Outcome KvmBackend::run(const Step&, const RmpContention&) { return skip(Capability::kAdversity); }
// A signal that comes before a call is delivered before it, one from another thread comes at any
// time: none can be had at the kernel's first look for one, time after time.
Outcome KvmBackend::run(const Step&, const SendSignal&) { return skip(Capability::kAdversity); }
Outcome KvmBackend::run(const Step&, const FailAllocation&) { return skip(Capability::kAdversity); }
// madvise(MADV_HWPOISON) would take a frame from this machine for good, and a write to
// /proc/sys/vm/drop_caches is felt by everybody on it.
Outcome KvmBackend::run(const Step&, const HostMemoryFailure&) {
  return skip(Capability::kAdversity);
}
Outcome KvmBackend::run(const Step&, const KernelWrite&) { return skip(Capability::kAdversity); }
Outcome KvmBackend::run(const Step&, const GmemMemoryFailure&) {
  return skip(Capability::kAdversity);
}
Outcome KvmBackend::run(const Step&, const DropCaches&) { return skip(Capability::kAdversity); }
Outcome KvmBackend::run(const Step&, const CreateIrqchip&) { return skip(Capability::kIrqchip); }
Outcome KvmBackend::run(const Step&, const SetGuestDebug&) { return skip(Capability::kIrqchip); }
Outcome KvmBackend::run(const Step&, const EnterGuestMode&) { return skip(Capability::kGuestMode); }
Outcome KvmBackend::run(const Step&, const LeaveGuestMode&) { return skip(Capability::kGuestMode); }
Outcome KvmBackend::run(const Step&, const Resume&) { return skip(Capability::kParking); }

}  // namespace sluice::kvm
