// The machine: what exists below the host kernel - memory, its reverse map, and the books that let
// everything be undone.
#pragma once
#include "base/arena.h"
#include "model/machine/access.h"
#include "model/machine/frames.h"
#include "model/machine/journal.h"
#include "model/machine/rmp.h"
#include "model/machine/secure_ept.h"
#include "model/machine/tlb.h"
#include "ops/sequence.h"
#include "trace/event.h"
#include "trace/host_profile.h"

namespace sluice::model {

/// State is public: the rooms above are the machine's users in the way a kernel is a processor's.
/// Everything that outlives an operation changes through `journal`. Thread: compatible; not movable
/// once a task runs in `arena`.
struct Machine {
  HostProfile profile{};
  SequenceHeader header{};  // scope, version and policy of the sequence that runs
  Journal journal;
  Rmp rmp;
  Frames frames;
  SecureEpt sept;
  Translations tlbs{};
  EventLog events{};
  Arena arena{};

  /// Reserves address space for `profile.frame_count` frames; fails if the system refuses that.
  /// Cost: a few mmaps, about 10 us.
  static Expected<Machine> open(const HostProfile& profile);

  KernelVersion version() const { return header.kernel; }
};

}  // namespace sluice::model
