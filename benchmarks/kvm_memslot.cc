// Memory slots on the real kernel: adding, deleting, and the pair of both, which is also what the
// harness's own cost is measured on (target B1): the same pairs in a bare loop of ioctl(2) stand
// beside it (kvm_memslot_bare.cc). Source: kvm.md 2; Linux virt/kvm/kvm_main.c
// kvm_set_memory_region().
#include <fmt/format.h>

#include <cerrno>
#include <optional>

#include "base/units.h"
#include "benchmarks/kvm_support.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kSlotBytes = kBytesPer2M;

class SlotScenario : public Scenario {
 public:
  explicit SlotScenario(const Arguments& arguments) : slots_(arguments.number("slots")) {}

  Status setup() override {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    kvm_ = std::move(*kvm);
    OrRefusal<kvm::Vm> vm = open_vm(*kvm_);
    if (!vm) return std::unexpected(vm.error());
    vm_ = std::move(*vm);
    if (Status has = require(vm_, kvm::uapi::kCapUserMemory2, "KVM_CAP_USER_MEMORY2"); !has)
      return has;
    Expected<kvm::Mapping> memory = kvm::Mapping::anonymous(kvm_->sys(), {kSlotBytes});
    if (!memory) return fail(memory.error());
    memory_ = std::move(*memory);
    return {};
  }
  std::uint64_t items() const override { return slots_; }

 protected:
  /// Slot `index`, each at its own guest address, all over the same (never touched) host memory.
  kvm::SysResult add(std::uint64_t index) const {
    return vm_.set_memory_region({.slot = static_cast<std::uint32_t>(index),
                                  .guest_phys_addr = index * kSlotBytes,
                                  .memory_size = kSlotBytes,
                                  .userspace_addr = memory_.address()});
  }
  kvm::SysResult remove(std::uint64_t index) const {
    return vm_.delete_slot(static_cast<std::uint32_t>(index));
  }
  void add_all() {
    for (std::uint64_t i = 0; i < slots_; ++i) note(add(i), "add a memslot");
  }
  void remove_all() {
    for (std::uint64_t i = 0; i < slots_; ++i) note(remove(i), "delete a memslot");
  }
  void note(kvm::SysResult result, const char* what) {
    if (!result.ok()) note_failure(SystemError{.number = result.error, .what = what}.message());
  }
  /// All slots are there, or none: a slot that overlaps is refused with EEXIST exactly where one
  /// is.
  Status all_there(bool there) const {
    const auto other_id = static_cast<std::uint32_t>(slots_);
    for (std::uint64_t i = 0; i < slots_; ++i) {
      const kvm::SysResult overlap = vm_.set_memory_region({.slot = other_id,
                                                            .guest_phys_addr = i * kSlotBytes,
                                                            .memory_size = kSlotBytes,
                                                            .userspace_addr = memory_.address()});
      if (overlap.ok() && !vm_.delete_slot(other_id).ok())
        return fail("the probe slot cannot be deleted");
      if (overlap.ok() == there || (there && overlap.error != EEXIST)) {
        return fail(fmt::format("slot {} is {}there", i, there ? "not " : ""));
      }
    }
    return {};
  }

  std::uint64_t slots_;
  kvm::Vm vm_;
  kvm::Mapping memory_;

 private:
  std::optional<kvm::Kvm> kvm_;
};

class Add : public SlotScenario {
 public:
  using SlotScenario::SlotScenario;
  void run(unsigned) override { add_all(); }
  Status verify() override { return all_there(true); }
  void after() override { remove_all(); }
};

class Delete : public SlotScenario {
 public:
  using SlotScenario::SlotScenario;
  void before() override { add_all(); }
  void run(unsigned) override { remove_all(); }
  Status verify() override { return all_there(false); }
};

class Pair : public SlotScenario {
 public:
  using SlotScenario::SlotScenario;
  void run(unsigned) override {
    for (std::uint64_t i = 0; i < slots_; ++i) {
      const kvm::SysResult added = add(0);
      const kvm::SysResult removed = remove(0);  // refused unless the slot was there
      if (!added.ok()) return note(added, "add a memslot");
      if (!removed.ok()) return note(removed, "delete a memslot");
      ++pairs_;
    }
  }
  Status verify() override {
    if (pairs_ != slots_) return fail(fmt::format("{} of {} pairs were done", pairs_, slots_));
    return all_there(false);
  }

 private:
  std::uint64_t pairs_ = 0;
};

const bool kAdded = add_benchmark({.name = "kvm/memslot_add",
                                   .backend = "kvm",
                                   .parameters = {{"slots", {256}, {16}}},
                                   .make = make_scenario<Add>,
                                   .unit = "ns/slot"}) &&
                    add_benchmark({.name = "kvm/memslot_delete",
                                   .backend = "kvm",
                                   .parameters = {{"slots", {256}, {16}}},
                                   .make = make_scenario<Delete>,
                                   .unit = "ns/slot"}) &&
                    add_benchmark({.name = "kvm/memslot_pair",
                                   .backend = "kvm",
                                   .parameters = {{"slots", {1000}, {16}}},
                                   .make = make_scenario<Pair>,
                                   .unit = "ns/pair",
                                   .floor = "floor/kvm_memslot_pair",
                                   .target = "B1",
                                   .limit = 1.02,
                                   .repetitions = 101});

}  // namespace
}  // namespace sluice::bench
