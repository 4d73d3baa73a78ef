// Touches memory that may not be there: a refused load or store becomes a value, not the end of the
// process.
#pragma once
#include <cstdint>

namespace sluice::kvm {

/// Reads or writes 8 bytes at `address`. Returns 0, or the signal the kernel answered with (SIGSEGV
/// or SIGBUS). The first call installs handlers for both and keeps them; a fault that is not ours
/// goes on to the handler that was there before. Thread: safe. Cost: one sigsetjmp.
int guarded_load(std::uintptr_t address, std::uint64_t& value);
int guarded_store(std::uintptr_t address, std::uint64_t value);

}  // namespace sluice::kvm
