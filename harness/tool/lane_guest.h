// One boot of a kernel in QEMU: the machine's command line, the wait with its limit, the files that
// it leaves.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "tool/lane_console.h"

namespace sluice::tool {

enum class Accelerator { kTcg, kKvm };

struct GuestOptions {
  std::string kernel{};     // bzImage
  std::string initramfs{};  // as ci/lane/initramfs packs it
  std::string out{};  // folder for console.log, output.log, qemu.log and files/ (the 9p share)
  std::string token{};
  std::string append{};  // added to the kernel's command line
  Accelerator accelerator = Accelerator::kTcg;
  bool numa = false;    // two processors, each a node with half the memory
  bool icount = false;  // the guest's clock counts instructions, 1 ns each; TCG, one processor
  unsigned memory_mib = 3072;       // an operation may allocate 1 GiB
  std::chrono::seconds limit{600};  // of the whole boot
  bool show = true;                 // copy the command's output to stdout as it comes
};

/// QEMU's command line for `options`. Source: measure of the emulator: -cpu max has SVM with nested
/// paging; a guest that reboots ends the emulator; -icount needs a clock that is not the host's and
/// a kernel that keeps to the TSC. Pre: icount with neither numa nor KVM.
std::vector<std::string> qemu_command(const GuestOptions& options);

struct GuestResult {
  LaneReading reading{};
  double seconds = 0;
  std::string output{};  // what the command wrote, our lines included
};
/// Boots, waits, reads. Errors: no folder, no emulator to start. Thread: one.
Expected<GuestResult> boot_guest(const GuestOptions& options);

/// Why KVM cannot be tried for the machine itself (no /dev/kvm, no nested virtualization); empty if
/// it can be tried. A machine that nests may still fail to boot: the caller tries.
std::string why_not_kvm();

}  // namespace sluice::tool
