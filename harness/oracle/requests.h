// What a guest asked user space to convert, and by which operation.
#pragma once
#include <cstdint>

#include "trace/view.h"

namespace sluice::oracle {

/// Guest pages that this vCPU's request is about, whoever has run it; of a TD without the SHARED
/// bit. Of a request that others could reach while it was stopped: perhaps.
bool asks_about(const View& view, VcpuIndex vcpu, const Op& op, Gfn first, std::uint64_t count);

/// Did a vCPU of the VM ask user space, in the step, for a conversion that these pages are all in?
bool was_asked_to_convert(const View& view, VmIndex vm, Gfn first, std::uint64_t count);

}  // namespace sluice::oracle
