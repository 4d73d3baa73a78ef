// KVM_HC_MAP_GPA_RANGE: the guest's hypercall, and user space's reaction to KVM_EXIT_HYPERCALL
// (kvm.md 8; Linux __kvm_emulate_hypercall(), complete_hypercall_exit()).
//
// The rule of user space, which every backend follows step by step. `gpa`, `pages` and `attributes`
// are hypercall.args[0..2]; ret is hypercall.ret.
//
//  vmm=ignore   Nothing is done: the operation ends with map_gpa_range.ignored and the exit; the
//               vCPU's next KVM_RUN completes the hypercall with ret = 0.
//  vmm=kill     The VM is closed as destroy_vm does it (guest_memfds stay open); the operation ends
//               with map_gpa_range.killed and the exit.
//  vmm=convert  1. pages >= 2^52, whose bytes do not fit 64 bits: ret = -EINVAL, go to 4.
//               2. KVM_SET_MEMORY_ATTRIBUTES {address = gpa, size = pages * 4096, attributes = bit
//               4
//                  of `attributes` set ? PRIVATE : 0, flags = 0}. Refused with whatever errno:
//                  ret = -EINVAL, go to 4.
//               3. convert_reclaim=punch_hole, to shared only: for each memslot of address space 0
//                  with an open guest_memfd that overlaps [gpa, gpa + size):
//                  fallocate(PUNCH_HOLE | KEEP_SIZE) of the overlapping part of the file. Errors
//                  are ignored; the order does not matter, the parts are disjoint.  ret = 0.
//               4. KVM_RUN with that ret. The guest finds it in RAX; the operation ends with
//                  map_gpa_range.vmm_failed if it is not 0.
//  In every case but a refusal by KVM itself (cpl, disabled, range), outcome.exit is the exit:
//  reason 3, gpa = args[0], size = args[1] (pages), attributes = args[2].
//
// What real user space does: QEMU 9 (kvm_convert_memory()) sets the attributes first and then
// discards the copy that became unreachable, in both directions: it punches the guest_memfd when a
// range becomes shared, and discards the shared pages when it becomes private (not for hugetlbfs).
// KVM's own selftest punches and allocates before it sets the attributes.
// Deviation: the shared copy is kept when a range becomes private, since no operation of the
// vocabulary frees a page of the host region without unmapping it for good.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"
#include "ops/memory_ops.h"

namespace sluice::model {

/// Fails: run_gate(), map_gpa_range.*.  Cost: that of the conversion.
Outcome apply(Kernel& k, ActorId actor, const MapGpaRange& op);
/// Stops in user space (map_gpa_range.exit, map_gpa_range.converted) and inside the ioctls.
Task<Outcome> start(Kernel& k, ActorId actor, const MapGpaRange& op);

}  // namespace sluice::model
