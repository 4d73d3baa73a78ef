// Performance counters of this process: page faults, context switches, instructions, tracepoints.
// counterd (a program of its own, see platform/counterd) opens them and passes the descriptors; we
// read them. What the host does not have is missing with its reason, never 0.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fact.h"
#include "base/system_error.h"

namespace sluice::platform {

/// The program that opens counters: $SLUICE_COUNTERD, the one beside this program, or the one of
/// this build. Errors: why none.
Expected<std::string> find_counterd();

/// Counts what the first thread of this process and the threads it starts after open() do.
/// Thread: compatible; read by one thread. Cost: start() and stop() are one read(2) per counter,
/// about 0.5 us each.
class Counters {
 public:
  /// Names as counterd.c lists them ("page_faults", "instructions", "kvm:kvm_exit"). Never fails as
  /// a whole: a counter that cannot be had is missing in every answer. `counterd` overrides the
  /// program to ask, for tests.
  static Counters open(const std::vector<std::string>& names, const std::string& counterd = {});
  Counters(Counters&&) noexcept = default;
  Counters& operator=(Counters&&) noexcept = default;
  ~Counters();

  void start();
  /// Counts since start(), one fact per name in the order of open().
  Facts stop();

 private:
  struct Reading {
    std::uint64_t count = 0;
    std::uint64_t enabled_ns = 0;
    std::uint64_t running_ns = 0;
  };
  class Descriptor {
   public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept;
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();
    bool is_open() const { return fd_ >= 0; }
    bool read(Reading& to) const;

   private:
    int fd_;
  };
  struct Counter {
    std::string name;
    Descriptor descriptor{-1};
    std::string reason{};  // why it is not open
    Reading at_start{};
  };
  Counters() = default;
  static Fact difference(const Counter& counter);
  std::vector<Counter> counters_;
};

}  // namespace sluice::platform
