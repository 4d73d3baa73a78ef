// What a guest asked user space to convert, and by which operation.
#pragma once
#include <cstdint>

#include "trace/view.h"

namespace sluice::oracle {

/// Did a vCPU of the VM ask user space, in the step, for a conversion that these pages are all in?
/// Where KVM converts what a guest touches (npf_mismatch=auto_convert), touching it is asking.
bool was_asked_to_convert(const View& view, VmIndex vm, Gfn first, std::uint64_t count);

}  // namespace sluice::oracle
