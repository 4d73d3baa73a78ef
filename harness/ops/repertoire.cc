#include "ops/repertoire.h"

#include <algorithm>
#include <variant>

namespace sluice {
namespace {

bool can_do(const Op& op, const Repertoire& able) {
  if (!able.snp && needs_snp(op)) return false;
  if (!able.stops && is_one_of<Resume>(op)) return false;
  if (able.only_kernel && needs_tdx(op)) return false;
  return !able.only_kernel ||
         (!info_of(op).machine_scope_only &&
          !is_one_of<Resume, RmpContention, SendSignal, FailAllocation, EnterGuestMode,
                     LeaveGuestMode, HostMemoryFailure, GmemMemoryFailure, DropCaches,
                     CreateIrqchip, SetGuestDebug, KernelWrite>(op));
}

/// What takes a kernel long by its size alone is mostly made small: the rules are the same.
void fit_size(std::uint64_t& value, std::uint64_t unit, Rng& rng) {
  constexpr std::uint64_t kUsualBytes = std::uint64_t{8} << 20;
  if (value <= kUsualBytes / unit || rng.one_in(32)) return;
  value %= kUsualBytes / unit;
  if (value == 0) value = kBytesPer2M / unit;
}

void fit_for_kernel(Step& step, Rng& rng) {
  step.park = 0;
  if (auto* op = std::get_if<GmemAllocate>(&step.op)) fit_size(op->size.value, 1, rng);
  if (auto* op = std::get_if<SetMemoryAttributes>(&step.op)) fit_size(op->size.value, 1, rng);
  if (auto* op = std::get_if<MapGpaRange>(&step.op))
    fit_size(op->page_count.value, kPageBytes, rng);
  // The harness does not execute its own data.
  auto* const access = std::get_if<HostAccess>(&step.op);
  if (access != nullptr && access->kind == AccessKind::kFetch) access->kind = AccessKind::kRead;
  auto* const mapped = std::get_if<GmemAccess>(&step.op);
  if (mapped != nullptr && mapped->kind == AccessKind::kFetch) mapped->kind = AccessKind::kRead;
}

void fit_type(CreateVm& create, const Repertoire& able, Rng& rng) {
  const auto bit = [](VmType type) { return 1u << static_cast<unsigned>(type); };
  const bool possible = (able.vm_types & bit(create.type)) != 0;
  if (possible || rng.one_in(16)) return;
  const bool has_private = (able.vm_types & bit(VmType::kSwProtected)) != 0;
  create.type = has_private && !rng.one_in(4) ? VmType::kSwProtected : VmType::kDefault;
}

}  // namespace

bool needs_snp(const Op& op) {
  return is_one_of<SevInit2, LaunchStart, LaunchUpdate, LaunchFinish, Pvalidate, RmpAdjust,
                   RmpQuery, PscMsr, Psc, GhcbWriteHeader, GhcbWriteEntry, GuestConvert, ApCreation,
                   GhcbMmio, GhcbPortIo, GhcbWriteScratch>(op);
}

bool needs_tdx(const Op& op) {
  return is_one_of<TdxInitVm, TdxInitVcpu, TdxInitMemRegion, TdxFinalize, TdAccept,
                   SeamcallContention, TdMapGpa>(op);
}

void fit(Sequence& sequence, const Repertoire& able, Rng& rng) {
  if (able.kernel) sequence.header.kernel = *able.kernel;
  if (able.only_kernel) {
    sequence.header.scope = Scope::kHost;
    // What a folio's size is, the kernel decides.
    sequence.header.policy.gmem_order = PolicySet{}.gmem_order;
    sequence.header.policy.host_order = PolicySet{}.host_order;
    sequence.header.policy = with_mainline_kernel(sequence.header.policy);
  }
  std::erase_if(sequence.steps, [&able](const Step& step) { return !can_do(step.op, able); });
  for (Step& step : sequence.steps) {
    if (!able.stops) step.park = 0;
    if (able.only_kernel) fit_for_kernel(step, rng);
    if (auto* create = std::get_if<CreateVm>(&step.op)) fit_type(*create, able, rng);
  }
}

}  // namespace sluice
