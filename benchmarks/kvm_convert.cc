// Conversion on the real kernel: KVM_SET_MEMORY_ATTRIBUTES over a mapped range of a
// software-protected VM, to private and back to shared, whole or page by page. Source: kvm.md 3;
// Linux virt/kvm/kvm_main.c kvm_vm_set_mem_attributes().
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "benchmarks/kvm_guest_memory.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kToken = 0x5e15c0de;

class Convert : public Scenario {
 public:
  explicit Convert(const Arguments& arguments)
      : pages_(arguments.number("pages")),
        step_(arguments.text("page_size") == "2M" ? kFramesPer2M : 1),
        to_(arguments.text("to") == "private" ? kvm::uapi::kAttributePrivate : 0) {}

  Status setup() override {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    OrRefusal<kvm::Vm> plain = open_vm(*kvm);
    if (!plain) return std::unexpected(plain.error());
    // Asked of a default VM too, so that a kernel without either names the capability, not only the
    // VM type.
    const auto attributes = [](const kvm::Vm& vm) {
      return require(vm, kvm::uapi::kCapMemoryAttributes, "KVM_CAP_MEMORY_ATTRIBUTES",
                     kvm::uapi::kAttributePrivate);
    };
    OrRefusal<GuestMachine> machine = GuestMachine::open(1, kvm::uapi::kVmTypeSwProtected);
    if (!machine) {
      const Status on_default = attributes(*plain);
      if (on_default) return std::unexpected(machine.error());
      return skip(on_default.error().reason + "; " + machine.error().reason);
    }
    machine_.emplace(std::move(*machine));
    if (Status has = attributes(machine_->vm()); !has) return has;
    OrRefusal<GuestMemory> memory =
        GuestMemory::open(machine_->vm(), {.pages = pages_, .gmem = true, .is_private = true});
    if (!memory) return std::unexpected(memory.error());
    memory_.emplace(std::move(*memory));
    for (std::uint64_t page = 0; page < pages_; ++page) {
      std::memcpy(memory_->host_bytes() + page * kPageBytes, &kToken, sizeof kToken);
    }
    return {};
  }

  /// The other state, and mapped in it: converting then zaps what the guest had.
  void before() override {
    if (Status ready = set_all(to_ ^ kvm::uapi::kAttributePrivate); !ready)
      return note_failure(ready.error().reason);
    if (Status seen = every_word(to_ ^ kvm::uapi::kAttributePrivate); !seen)
      note_failure(seen.error().reason);
  }

  void run(unsigned) override {
    const kvm::Vm& vm = machine_->vm();
    const std::uint64_t bytes = step_ * kPageBytes;
    for (std::uint64_t page = 0; page < pages_; page += step_) {
      const kvm::SysResult done = vm.set_memory_attributes(
          {.address = page * kPageBytes, .size = bytes, .attributes = to_});
      if (!done.ok())
        return note_failure(
            SystemError{.number = done.error, .what = "KVM_SET_MEMORY_ATTRIBUTES"}.message());
    }
  }

  Status verify() override { return every_word(to_); }
  std::uint64_t items() const override { return pages_; }

 private:
  Status set_all(std::uint64_t attributes) const {
    return worked(machine_->vm().set_memory_attributes(
                      {.address = 0, .size = pages_ * kPageBytes, .attributes = attributes}),
                  "set the range's attributes");
  }

  /// Shared pages show the guest the host's token, private ones the guest_memfd's zeros.
  Status every_word(std::uint64_t attributes) {
    const std::uint64_t wanted = attributes == 0 ? kToken : 0;
    const std::uint64_t stride = std::max<std::uint64_t>(1, pages_ / kLooks);
    for (std::uint64_t page = 0; page < pages_; page += stride) {
      const kvm::CommandResult read = machine_->guest(0).read(Gpa{page * kPageBytes});
      if (read.exit.kind == kvm::ExitKind::kDone && read.value == wanted) continue;
      return fail(fmt::format("page {} shows {:#x} ({}), not {:#x}", page, read.value,
                              kvm::name_of(read.exit.kind), wanted));
    }
    return {};
  }

  static constexpr std::uint64_t kLooks = 512;  // one look costs three ioctls
  std::uint64_t pages_;
  std::uint64_t step_;
  std::uint64_t to_;
  std::optional<GuestMachine> machine_;
  std::optional<GuestMemory> memory_;
};

const bool kAdded = add_benchmark({.name = "kvm/convert",
                                   .backend = "kvm",
                                   .parameters = {{"pages", {4096}, {512}},
                                                  {"page_size", {"4K", "2M"}},
                                                  {"to", {"private", "shared"}}},
                                   .make = make_scenario<Convert>});

}  // namespace
}  // namespace sluice::bench
