// KVM's binary statistics of a VM or vCPU: what the kernel counted, by name.
// Source: Linux Documentation/virt/kvm/api.rst 4.133, KVM_GET_STATS_FD; virt/kvm/binary_stats.c.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/system_error.h"
#include "kvm/vm.h"

namespace sluice::kvm {

/// Reads the statistics file of one VM or vCPU. The descriptors are read once, at open; a read of
/// all values is one system call. Histograms count as their first bucket only where `value` is
/// asked by name. Thread: compatible.
class Stats {
 public:
  struct Entry {
    std::string name{};
    std::uint32_t flags = 0;  // type, unit and base, as KVM_STATS_*
    std::uint16_t size = 0;   // u64 values it has
    std::uint32_t first = 0;  // index of its first value
  };
  /// `fd`: a VM's or a vCPU's descriptor. Fails where the kernel has no binary statistics (cap 203)
  /// or their layout makes no sense.
  static Expected<Stats> open(Syscalls& sys, int fd);

  const std::vector<Entry>& entries() const { return entries_; }
  /// Reads all values anew. Fails with pread(2)'s errno.
  Expected<void> refresh();
  /// The value read last, or nothing where this kernel does not count it.
  std::optional<std::uint64_t> value(std::string_view name) const;

 private:
  Stats(Syscalls& sys, Fd fd) : sys_(&sys), fd_(std::move(fd)) {}
  Expected<void> read_layout();

  Syscalls* sys_;
  Fd fd_;
  uapi::StatsHeader header_{};
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> values_;
};

}  // namespace sluice::kvm
