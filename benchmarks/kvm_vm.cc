// Creating and closing a VM on the real kernel. Source: Linux virt/kvm/kvm_main.c kvm_create_vm(),
// kvm_destroy_vm().
#include <optional>
#include <vector>

#include "benchmarks/kvm_support.h"

namespace sluice::bench {
namespace {

class VmScenario : public Scenario {
 public:
  explicit VmScenario(const Arguments& arguments) : count_(arguments.number("vms")) {}
  Status setup() override {
    OrRefusal<kvm::Kvm> kvm = open_kvm();
    if (!kvm) return std::unexpected(kvm.error());
    kvm_ = std::move(*kvm);
    vms_.reserve(count_);
    return {};
  }
  std::uint64_t items() const override { return count_; }

 protected:
  void create_all() {
    for (std::uint64_t i = 0; i < count_; ++i) {
      const kvm::SysResult made = kvm_->create_vm_fd(kvm::uapi::kVmTypeDefault);
      if (!made.ok())
        return note_failure(SystemError{.number = made.error, .what = "KVM_CREATE_VM"}.message());
      vms_.emplace_back(kvm_->sys(), kvm::Fd(kvm_->sys(), made.fd()));
    }
  }
  void close_all() { vms_.clear(); }

  std::uint64_t count_;
  std::optional<kvm::Kvm> kvm_;
  std::vector<kvm::Vm> vms_;
};

class Create : public VmScenario {
 public:
  using VmScenario::VmScenario;
  void run(unsigned) override { create_all(); }
  Status verify() override {
    for (const kvm::Vm& vm : vms_) {
      if (Status answers = worked(vm.check_extension(kvm::uapi::kCapNrMemslots), "ask a new VM");
          !answers)
        return answers;
    }
    return vms_.size() == count_ ? Status{} : fail("not every VM was made");
  }
  void after() override { close_all(); }
};

class Close : public VmScenario {
 public:
  using VmScenario::VmScenario;
  void before() override {
    create_all();
    descriptors_.clear();
    for (const kvm::Vm& vm : vms_) descriptors_.push_back(vm.fd());
  }
  void run(unsigned) override { close_all(); }
  Status verify() override {
    if (descriptors_.size() != count_) return fail("not every VM was made");
    for (const int fd : descriptors_) {
      if (kvm_->sys().ioctl(fd, KVM_CHECK_EXTENSION, kvm::uapi::kCapNrMemslots).ok())
        return fail("a VM still answers");
    }
    return {};
  }

 private:
  std::vector<int> descriptors_;
};

const bool kAdded = add_benchmark({.name = "kvm/vm_create",
                                   .backend = "kvm",
                                   .parameters = {{"vms", {16}, {2}}},
                                   .make = make_scenario<Create>,
                                   .unit = "ns/vm"}) &&
                    add_benchmark({.name = "kvm/vm_close",
                                   .backend = "kvm",
                                   .parameters = {{"vms", {16}, {2}}},
                                   .make = make_scenario<Close>,
                                   .unit = "ns/vm"});

}  // namespace
}  // namespace sluice::bench
