// The host a number was measured on: what must be equal before two numbers may be compared.
// Sources: /proc/cpuinfo, /proc/meminfo, sysfs
// (Documentation/ABI/testing/sysfs-devices-system-cpu), /sys/module/kvm*.
#pragma once
#include <string>

#include "base/fact.h"
#include "platform/topology.h"

namespace sluice::platform {

struct Fingerprint {
  Facts facts{};     // what could not be read is missing, with its reason
  std::string id{};  // 16 hex digits over the stable facts: same host set up the same way, same id
};

struct FingerprintSource {
  std::string root = "/";  // tests read a made-up machine
  std::string
      kvm_flavour{};  // what a probe of /dev/kvm said, if the caller made one; else read from sysfs
  const Topology* topology = nullptr;  // none: this machine's is read
};

/// Cost: some dozen small files. Facts of the program (compiler, commit) and of the moment (free
/// huge pages) are not in the id, nor is the caller's kvm_flavour, so that programs that probe and
/// programs that do not agree on it.
Fingerprint read_fingerprint(const FingerprintSource& source = {});

}  // namespace sluice::platform
