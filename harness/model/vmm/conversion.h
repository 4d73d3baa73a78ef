// User space's reaction to KVM_EXIT_HYPERCALL with KVM_HC_MAP_GPA_RANGE, whoever caused it: the
// guest's hypercall, or a page state change by its GHCB (kvm.md 8, snp_host.md 5.3, 6; Linux
// __kvm_emulate_hypercall(), snp_begin_psc()).
//
// The rule of user space, which every backend follows step by step. `gpa`, `pages` and `attributes`
// are hypercall.args[0..2]; ret is hypercall.ret.
//
//  vmm=ignore   Nothing is done: the vCPU's next KVM_RUN completes the request with ret = 0.
//  vmm=kill     The VM is closed as destroy_vm does it (guest_memfds stay open).
//  vmm=refuse   Nothing is done: ret = -EINVAL, go to 4.
//  vmm=convert  1. pages >= 2^52, whose bytes do not fit 64 bits: ret = -EINVAL, go to 4.
//               2. KVM_SET_MEMORY_ATTRIBUTES {address = gpa, size = pages * 4096, attributes = bit
//                  4 of `attributes` set ? PRIVATE : 0, flags = 0}. Refused with whatever errno:
//                  ret = -EINVAL, go to 4.
//               3. For each memslot of address space 0 with an open guest_memfd that overlaps
//                  [gpa, gpa + size), by convert_reclaim. Errors are ignored; then ret = 0.
//                  punch_hole, unsupported and random_holes, to shared only:
//                  fallocate(PUNCH_HOLE | KEEP_SIZE) of the overlapping part of the file.
//                  punch_shared_only, to private only: madvise(MADV_DONTNEED) of what is mapped at
//                  the overlapping part of the slot's user address.
//                  random_holes, to either: a hole of one page, page_punched_anywhere() (policy.h)
//                  of the first overlapping page of the file.
//               4. KVM_RUN with that ret.
//
// What real user space does: QEMU 9 (kvm_convert_memory()) sets the attributes first and then
// discards the copy that became unreachable, in both directions: it punches the guest_memfd when a
// range becomes shared, and discards the shared pages when it becomes private (not for hugetlbfs).
// KVM's own selftest punches and allocates before it sets the attributes.
// Deviation: with punch_hole the shared copy is kept when a range becomes private; what freeing it
// does is what punch_shared_only shows.
#pragma once
#include "model/host/psc.h"
#include "model/schedule/task.h"

namespace sluice::model {

enum class UserReply : std::uint8_t {
  kConverted,  // ret = 0
  kFailed,     // ret = -EINVAL
  kIgnored,    // ret = 0, and nothing done
  kKilled,     // the VM is closed: no KVM_RUN follows
  kSkipped,    // the step ends here with `skip`: there is nothing to convert in, or a limit was met
};
struct Reaction {
  UserReply reply = UserReply::kConverted;
  Check skip = Check::kOk;
};

/// What user space does between the exit and the next KVM_RUN.  Cost: that of the conversion.
Reaction react(Kernel& k, ActorId actor, VmIndex vm, const ConversionExit& exit);
/// Stops in user space (map_gpa_range.exit, map_gpa_range.converted) and inside the ioctls.
Task<Reaction> start_reaction(Kernel& k, ActorId actor, VmIndex vm, ConversionExit exit);

/// KVM_RUN returns with that exit: the event.
void leave_for_conversion(Kernel& k, const Vcpu& vcpu);
/// `out` with the exit that user space has seen.
Outcome with_exit(Outcome out, const ConversionExit& exit);
/// Where user space did not let the guest go on as if converted: map_gpa_range.ignored and .killed,
/// with the exit.
Outcome not_converted(UserReply reply, const ConversionExit& exit);
/// What the guest sees where user space has answered.
struct Answers {
  Outcome converted;
  Outcome failed;
};
/// The end of the request, whatever user space did: one of `answers` with the exit,
/// not_converted(), or the skip.
Outcome outcome_of(Reaction reaction, const ConversionExit& exit, const Answers& answers);

}  // namespace sluice::model
