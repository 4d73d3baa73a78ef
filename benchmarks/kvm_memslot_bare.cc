// The counterpart of kvm/memslot_pair for target B1: the same system calls in a bare loop, as a C
// program would write it, with none of the harness's wrappers, seams or checks. What the session
// does around run() is equal for both and is not timed.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/units.h"
#include "benchmarks/kvm_support.h"

namespace sluice::bench {
namespace {

class BarePair : public Scenario {
 public:
  explicit BarePair(const Arguments& arguments) : slots_(arguments.number("slots")) {}
  ~BarePair() override {
    if (vm_ >= 0) ::close(vm_);
    if (memory_ != MAP_FAILED) ::munmap(memory_, kBytesPer2M);
  }

  Status setup() override {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    vm_ = ::ioctl(kvm->fd(), KVM_CREATE_VM, 0);
    memory_ = ::mmap(nullptr, kBytesPer2M, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (vm_ < 0 || memory_ == MAP_FAILED) return fail("no VM or no memory for the bare loop");
    region_.memory_size = kBytesPer2M;
    region_.userspace_addr = reinterpret_cast<std::uint64_t>(memory_);
    return {};
  }

  void run(unsigned) override {
    kvm::uapi::UserspaceMemoryRegion2 region = region_;
    for (std::uint64_t i = 0; i < slots_; ++i) {
      region.memory_size = kBytesPer2M;
      if (::ioctl(vm_, kvm::uapi::kSetUserMemoryRegion2, &region) != 0)
        return note_failure("bare add failed");
      region.memory_size = 0;
      if (::ioctl(vm_, kvm::uapi::kSetUserMemoryRegion2, &region) != 0)
        return note_failure("bare delete failed");
      ++pairs_;
    }
  }

  Status verify() override {
    if (pairs_ != slots_) return fail("not every pair was done");
    return {};
  }
  std::uint64_t items() const override { return slots_; }

 private:
  std::uint64_t slots_;
  std::uint64_t pairs_ = 0;
  int vm_ = -1;
  void* memory_ = MAP_FAILED;
  kvm::uapi::UserspaceMemoryRegion2 region_{};
};

const bool kAdded = add_benchmark({.name = "floor/kvm_memslot_pair",
                                   .backend = "kvm",
                                   .parameters = {{"slots", {1000}, {16}}},
                                   .make = make_scenario<BarePair>,
                                   .unit = "ns/pair"});

}  // namespace
}  // namespace sluice::bench
