// Outcomes as this room makes them: the kernel says what, never why, so no check is named.
#pragma once
#include "kvm/syscalls.h"
#include "trace/outcome.h"

namespace sluice::kvm {

inline Outcome kernel_outcome(StatusKind kind, unsigned number) {
  Outcome out{};
  out.kind = kind;
  out.number = static_cast<std::uint16_t>(number);
  out.has_check = kind == StatusKind::kOk;  // success has one reason only
  return out;
}
inline Outcome of_result(SysResult result) {
  return result.ok() ? kernel_outcome(StatusKind::kOk, 0)
                     : kernel_outcome(StatusKind::kErrno, static_cast<unsigned>(result.error));
}

}  // namespace sluice::kvm
