// The real kernel as a backend: applies operations of a sequence to /dev/kvm and answers what user
// space saw. It never judges.
//
// Lockstep with the model: apply a step here first. If the answer is `skipped`, the step did not
// happen here, and the model must not run it either, or the two states part. Ask steps in the order
// of the sequence; `reset` sees all of them beforehand.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvm/backend_state.h"
#include "kvm/deadline.h"
#include "kvm/kvm_view.h"
#include "kvm/probe.h"
#include "kvm/vm.h"
#include "ops/sequence.h"
#include "trace/outcome.h"

namespace sluice::kvm {

// What would take the host down or out of service rather than test it is skipped (skip.limit).
inline constexpr std::uint64_t kMaxOperationBytes = std::uint64_t{1} << 30;  // allocated, converted
inline constexpr std::uint64_t kMaxSlotBytes = std::uint64_t{16} << 30;  // slot metadata is real

/// VMs and vCPUs are kept for the next sequence where nothing of the last one can show through;
/// creating them costs 4 to 10 times what a sequence does. Slots, guest_memfds, attributes and host
/// memory are taken back by reset(). Thread: one thread.
class KvmBackend {
 public:
  struct Options {
    Syscalls* sys = nullptr;  // null: the kernel
    Deadline::Limits limits{};
    bool reuse_vms = true;
    std::optional<ProbeResult> known{};  // where the host was probed before
  };
  /// Opens /dev/kvm, probes it. Fails with what is missing.
  static Expected<std::unique_ptr<KvmBackend>> open(Options options);
  static Expected<std::unique_ptr<KvmBackend>> open() { return open(Options{}); }
  ~KvmBackend();
  KvmBackend(const KvmBackend&) = delete;
  KvmBackend& operator=(const KvmBackend&) = delete;

  const ProbeResult& probed() const { return probe_; }
  const HostProfile& profile() const { return profile_; }

  /// Prepares for a sequence: nothing of the one before is left. `steps` is looked through for what
  /// decides whether VMs can be kept and whether guest code has a place; the steps need not outlive
  /// the call. Fails where the host has run out of something.
  Expected<void> reset(const SequenceHeader& header, std::span<const Step> steps);

  /// One step. Never fails: what cannot be done is an outcome of kind kSkipped.
  Outcome apply(const Step& step);

  /// Of the last step.
  const View& view() const { return view_; }
  /// The last step did not return within its deadline and was interrupted: a finding.
  bool hung() const { return hung_; }
  /// Why the last step was skipped, in words; empty if it was not.
  const std::string& skip_reason() const { return skip_reason_; }

 private:
  KvmBackend(Kvm kvm, ProbeResult probe, HostRegion region, PayloadMemory payload,
             const Options& options);

  Outcome dispatch(const Step& step);
  // One per operation: a missing one does not compile.
  Outcome run(const Step& step, const CreateVm& op);
  Outcome run(const Step& step, const DestroyVm& op);
  Outcome run(const Step& step, const CreateVcpu& op);
  Outcome run(const Step& step, const SetCpuid& op);
  Outcome run(const Step& step, const CreateGuestMemfd& op);
  Outcome run(const Step& step, const CloseGuestMemfd& op);
  Outcome run(const Step& step, const GmemAllocate& op);
  Outcome run(const Step& step, const GmemPunchHole& op);
  Outcome run(const Step& step, const SetMemoryRegion& op);
  Outcome run(const Step& step, const SetMemoryAttributes& op);
  Outcome run(const Step& step, const PreFaultMemory& op);
  Outcome run(const Step& step, const HostAccess& op);
  Outcome run(const Step& step, const HostUnmap& op);
  Outcome run(const Step& step, const HostDontneed& op);
  Outcome run(const Step& step, const NumaBalancing& op);
  Outcome run(const Step& step, const GuestAccess& op);
  Outcome run(const Step& step, const MapGpaRange& op);
  Outcome run(const Step& step, const RmpUpdate& op);
  Outcome run(const Step& step, const Psmash& op);
  Outcome run(const Step& step, const RmpRead& op);
  Outcome run(const Step& step, const HostStore& op);
  Outcome run(const Step& step, const Pvalidate& op);
  Outcome run(const Step& step, const RmpAdjust& op);
  Outcome run(const Step& step, const RmpQuery& op);
  Outcome run(const Step& step, const SevInit2& op);
  Outcome run(const Step& step, const LaunchStart& op);
  Outcome run(const Step& step, const LaunchUpdate& op);
  Outcome run(const Step& step, const LaunchFinish& op);
  Outcome run(const Step& step, const PscMsr& op);
  Outcome run(const Step& step, const Psc& op);
  Outcome run(const Step& step, const GhcbWriteHeader& op);
  Outcome run(const Step& step, const GhcbWriteEntry& op);
  Outcome run(const Step& step, const GuestConvert& op);
  Outcome run(const Step& step, const Resume& op);
  Outcome run(const Step& step, const RmpContention& op);
  Outcome run(const Step& step, const SendSignal& op);
  Outcome run(const Step& step, const FailAllocation& op);
  Outcome run(const Step& step, const EnterSmm& op);
  Outcome run(const Step& step, const LeaveSmm& op);
  Outcome run(const Step& step, const HostMemoryFailure& op);
  Outcome run(const Step& step, const GmemMemoryFailure& op);
  Outcome run(const Step& step, const KernelWrite& op);
  Outcome run(const Step& step, const DropCaches& op);
  Outcome run(const Step& step, const CreateIrqchip& op);
  Outcome run(const Step& step, const SetGuestDebug& op);
  Outcome run(const Step& step, const EnterGuestMode& op);
  Outcome run(const Step& step, const LeaveGuestMode& op);
  Outcome change_smm(const Step& step, bool smm);
  Outcome run(const Step& step, const GmemAccess& op);
  Outcome run(const Step& step, const TdxInitVm& op);
  Outcome run(const Step& step, const TdxInitVcpu& op);
  Outcome run(const Step& step, const TdxInitMemRegion& op);
  Outcome run(const Step& step, const TdxFinalize& op);
  Outcome run(const Step& step, const TdAccept& op);
  Outcome run(const Step& step, const SeamcallContention& op);
  Outcome run(const Step& step, const TdMapGpa& op);
  Outcome run(const Step& step, const ApCreation& op);
  Outcome run(const Step& step, const GhcbMmio& op);
  Outcome run(const Step& step, const GhcbPortIo& op);
  Outcome run(const Step& step, const GhcbWriteScratch& op);

  Outcome touch(std::uintptr_t page, AccessKind kind, std::uint64_t token);
  Outcome skip(Check check, std::string reason);
  Outcome skip(Capability capability);
  LiveVm* vm_of(VmIndex vm) { return vms_[vm.value] ? &*vms_[vm.value] : nullptr; }
  struct Acting {
    LiveVm* vm = nullptr;
    LiveVcpu* vcpu = nullptr;
  };
  /// The acting vCPU, or null if the sequence has not created it.
  Acting acting_vcpu(const Step& step);
  /// Makes guest code ready to run on the acting vCPU; an outcome if it cannot be.
  std::optional<Outcome> prepare_guest(const Acting& acting);
  static void note_mmio(const Acting& acting, const Outcome& out);
  Outcome of_guest_exit(const CommandResult& result, bool reads);
  Outcome answer_conversion(const Acting& acting, const MapGpaRange& op, VmIndex vm);
  SysResult convert(LiveVm& vm, GpaRange range, bool to_private);
  void reclaim(const LiveVm& vm, GpaRange range, bool to_private);
  void discard(std::uint64_t address, std::uint64_t size);
  SysResult destroy(VmIndex index);
  bool is_index_taken(VmIndex index) const;
  bool renew_roots(LiveVm& vm);
  bool inside_region(std::uint64_t address, std::uint64_t size) const;
  std::uint64_t resolve(HostVa hva) const { return hva.raw ? hva.value : region_.at(hva.value); }
  void note_region(LiveVm& vm, const SetMemoryRegion& op, std::uint64_t address);
  std::optional<LiveVm> take_recycled(VmType type);
  template <class Make>
  SysResult with_room(const Make& make);
  void recycle(LiveVm vm);
  bool clean(LiveVm& vm);
  void look_ahead(std::span<const Step> steps);
  void abandon();

  Kvm kvm_;
  ProbeResult probe_;
  HostProfile profile_;
  HostRegion region_;
  PayloadMemory payload_;
  Deadline deadline_;
  bool reuse_vms_;
  SequenceHeader header_{};
  std::array<std::optional<LiveVm>, kMaxVms> vms_{};
  std::array<std::optional<VmIndex>, kMaxVcpus> vcpu_vm_{};
  std::array<Gmem, kMaxGmems> gmems_{};
  std::array<VmIndex, kMaxGmems> gmem_vm_{};  // whose it is, where open
  std::vector<LiveVm> recycled_;
  bool payload_allowed_ = true;  // no step of the sequence is in the payload's way
  bool runs_guest_ = false;      // some step enters the guest program
  bool fresh_vms_ = false;       // a step could tell a recycled VM from a new one
  bool hung_ = false;
  std::string skip_reason_;
  KvmView view_;
};

}  // namespace sluice::kvm
