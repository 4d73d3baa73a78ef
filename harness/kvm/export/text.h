// The C that every exported program begins with, as files of this folder, built in.
#pragma once
#include <string_view>

namespace sluice::kvm::export_text {

extern const std::string_view kRuntime;  // runtime.c: includes, system calls, comparison
extern const std::string_view kGuest;    // guest.c: needs guest_code and ENTRY_* before it

}  // namespace sluice::kvm::export_text
