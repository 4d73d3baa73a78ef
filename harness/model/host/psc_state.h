// What a vCPU keeps for page state changes by its GHCB (snp_host.md 5; Linux struct
// vcpu_sev_es_state), and the buffer itself.
//
// Deviation: the GHCB is a page of its own at a fixed address outside the guest's memory; KVM can
// always map it, and no conversion touches it.
#pragma once
#include <array>
#include <cstdint>

#include "ops/fields.h"
#include "trace/view.h"

namespace sluice::model {

/// A PSC buffer from SW_SCRATCH on: the header, then the entries. It lies in shared memory: the
/// guest, the host and the kernel can all write it at any time.
struct PscBuffer {
  std::array<std::uint64_t, 1 + kPscMaxEntries> words{};
  std::uint16_t used = 0;  // words behind these are 0

  PscHeader header() const { return {words[0]}; }
  /// What lies beyond the buffer reads as 0.
  PscEntry entry(unsigned index) const { return {index < kPscMaxEntries ? words[1 + index] : 0}; }
};

struct PscState {
  PscBuffer buffer{};
  // KVM's own.
  std::uint16_t room = 0;         // entries between SW_SCRATCH and the end of the shared buffer
  std::uint16_t batch_start = 0;  // psc_idx
  std::uint16_t batch_size = 0;   // psc_inflight
  bool exit_pending = false;      // complete_userspace_io is snp_complete_one_psc()
  bool open = false;              // between VMGEXIT and its answer
  // Records for the view; nothing of the kernel reads them.
  bool written_by_others = false;
  bool begun_by_others = false;
  std::uint16_t touched = 0;
  std::uint16_t exit_count = 0;
  std::uint64_t requests = 0;  // rises with each
  std::uint8_t version = 0;
  std::uint64_t scratch = 0;
  std::uint64_t scratch_field = 0;  // SW_SCRATCH, as the GHCB has it now
  PscBuffer at_start{};
  /// Every entry gives one exit, and every write of somebody else may cost one more.
  std::array<PscExit, kPscMaxEntries + 64> exits{};
};

}  // namespace sluice::model
