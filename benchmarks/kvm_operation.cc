// What one system call costs the kernel, by size: memory attributes, pre-fault, punched holes,
// memslots, exits. For `--count` only, where the clock counts instructions (`sluice lane
// --icount`): there each run() is one call, and what it costs is exact. Source: kvm.md 1.3, 2,
// 3, 4.
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <optional>

#include "benchmarks/kvm_support.h"
#include "kvm/stats.h"

namespace sluice::bench {
namespace {

enum class Kind : std::uint8_t {
  kAttributesPrivate,  // of a shared range that nothing maps
  kPreFault,           // of a private range whose file has no page
  kAttributesShared,   // of a private range that is mapped: each leaf is zapped
  kPunch,              // of pages that nothing maps
  kSlotAdd,
  kSlotDelete,
};
constexpr std::array<const char*, 6> kNames{"attributes_private", "pre_fault", "attributes_shared",
                                            "punch_hole",         "slot_add",  "slot_delete"};

/// A software-protected VM; slot 0 over a guest_memfd at guest address 0, and room for slot 1
/// behind it.
class Operation : public Scenario {
 public:
  explicit Operation(const Arguments& arguments) : bytes_(arguments.number("pages") * kPageBytes) {
    const std::string& wanted = arguments.text("operation");
    while (wanted != kNames[static_cast<std::size_t>(kind_)])
      kind_ = static_cast<Kind>(static_cast<std::uint8_t>(kind_) + 1);
  }

  Status setup() override {
    OrRefusal<GuestMachine> machine = GuestMachine::open(1, kvm::uapi::kVmTypeSwProtected);
    if (!machine) return std::unexpected(machine.error());
    machine_.emplace(std::move(*machine));
    const kvm::Vm& vm = machine_->vm();
    if (Status has = require(vm, kvm::uapi::kCapMemoryAttributes, "KVM_CAP_MEMORY_ATTRIBUTES",
                             kvm::uapi::kAttributePrivate);
        !has)
      return has;
    if (Status has = require(vm, kvm::uapi::kCapPreFaultMemory, "KVM_CAP_PRE_FAULT_MEMORY"); !has)
      return has;
    Expected<kvm::Gmem> gmem = kvm::Gmem::create(vm, {bytes_});
    if (!gmem) return fail(gmem.error());
    gmem_ = std::move(*gmem);
    Expected<kvm::Mapping> memory = kvm::Mapping::anonymous(vm.sys(), {bytes_});
    if (!memory) return fail(memory.error());
    memory_ = std::move(*memory);
    kvm::uapi::UserspaceMemoryRegion2 slot{};
    slot.flags = kvm::uapi::kMemGuestMemfd;
    slot.memory_size = bytes_;
    slot.userspace_addr = memory_.address();
    slot.guest_memfd = static_cast<std::uint32_t>(gmem_.fd());
    return worked(vm.set_memory_region(slot), "add the memslot");
  }

  void before() override {
    const bool cycle = kind_ != Kind::kSlotAdd && kind_ != Kind::kSlotDelete;
    if (!cycle) {
      if (kind_ == Kind::kSlotDelete) note(slot(bytes_));
      return;
    }
    note(attributes(0));
    note(gmem_.punch_hole(0, bytes_));
    if (kind_ == Kind::kAttributesPrivate) return;
    note(attributes(kvm::uapi::kAttributePrivate));
    if (kind_ == Kind::kPreFault) return;
    note(pre_fault());
    if (kind_ == Kind::kPunch) note(attributes(0));
  }

  void run(unsigned) override {
    const kvm::SysResult result = perform();
    if (!result.ok()) note(result);
  }

  void after() override {
    if (kind_ == Kind::kSlotAdd) note(slot(0));
  }

  Status verify() override {
    const std::uint64_t pages = bytes_ / kPageBytes;
    const Expected<std::uint64_t> held = pages_of_file(gmem_.fd(), pages);
    if (!held && held.error().number != ENOSYS) return fail(held.error());
    const bool filled = kind_ == Kind::kPreFault || kind_ == Kind::kAttributesShared;
    if (held && *held != (filled ? pages : 0))
      return fail(fmt::format("the file holds {} of {} pages", *held, pages));
    switch (kind_) {
      case Kind::kSlotAdd:
      case Kind::kSlotDelete: {
        // Where a slot is, another over it is refused.
        const bool there = machine_->vm().set_memory_region(region(2, bytes_)).error == EEXIST;
        if (!there) static_cast<void>(machine_->vm().set_memory_region(region(2, 0)));
        return there == (kind_ == Kind::kSlotAdd) ? Status{} : fail("the slot is not as it should");
      }
      case Kind::kAttributesPrivate:
      case Kind::kPreFault:
        return reads(kvm::ExitKind::kDone, 0);
      default:
        return reads(kvm::ExitKind::kDone, kToken);
    }
  }

  std::uint64_t items() const override { return bytes_ / kPageBytes; }

 private:
  static constexpr std::uint64_t kToken = 0x70ce;

  kvm::SysResult attributes(std::uint64_t wanted) const {
    return machine_->vm().set_memory_attributes(
        {.address = 0, .size = bytes_, .attributes = wanted});
  }
  kvm::SysResult pre_fault() const {
    kvm::uapi::PreFaultMemory range{.gpa = 0, .size = bytes_};
    const kvm::SysResult result = machine_->vcpu(0).pre_fault(range);
    return result.ok() && range.size != 0 ? kvm::SysResult::failed(EAGAIN) : result;
  }
  kvm::uapi::UserspaceMemoryRegion2 region(std::uint32_t id, std::uint64_t size) const {
    kvm::uapi::UserspaceMemoryRegion2 out{};
    out.slot = id;
    out.guest_phys_addr = bytes_;
    out.memory_size = size;
    out.userspace_addr = memory_.address();
    return out;
  }
  /// Adds slot 1, or deletes it with size 0.
  kvm::SysResult slot(std::uint64_t size) const {
    return machine_->vm().set_memory_region(region(1, size));
  }
  kvm::SysResult perform() const {
    switch (kind_) {
      case Kind::kAttributesPrivate:
        return attributes(kvm::uapi::kAttributePrivate);
      case Kind::kPreFault:
        return pre_fault();
      case Kind::kAttributesShared:
        return attributes(0);
      case Kind::kPunch:
        return gmem_.punch_hole(0, bytes_);
      case Kind::kSlotAdd:
        return slot(bytes_);
      case Kind::kSlotDelete:
        break;
    }
    return slot(0);
  }
  void note(kvm::SysResult result) {
    if (!result.ok()) {
      note_failure(
          SystemError{.number = result.error, .what = kNames[static_cast<std::size_t>(kind_)]}
              .message());
    }
  }
  /// What the guest reads of the last page: shared memory has the token, private memory zeros.
  Status reads(kvm::ExitKind kind, std::uint64_t wanted) {
    const std::uint64_t last = bytes_ - kPageBytes;
    *reinterpret_cast<std::uint64_t*>(memory_.bytes() + last) = kToken;
    const kvm::CommandResult read = machine_->guest(0).read(Gpa{last});
    if (read.exit.kind == kind && read.value == wanted) return {};
    return fail(fmt::format("the guest reads {:#x} ({}), not {:#x}", read.value,
                            kvm::name_of(read.exit.kind), wanted));
  }

  std::uint64_t bytes_;
  Kind kind_{};
  std::optional<GuestMachine> machine_;
  kvm::Gmem gmem_;
  kvm::Mapping memory_;
};

/// Guest to user space and back, as often as asked for.
class Exits : public Scenario {
 public:
  explicit Exits(const Arguments& arguments) : exits_(arguments.number("exits")) {}
  Status setup() override {
    OrRefusal<GuestMachine> machine = GuestMachine::open(1);
    if (!machine) return std::unexpected(machine.error());
    machine_.emplace(std::move(*machine));
    if (machine_->guest(0).start_exits().exit.kind != kvm::ExitKind::kDone)
      return fail("the guest does not run");
    return {};
  }
  void run(unsigned) override {
    for (std::uint64_t i = 0; i < exits_; ++i) {
      if (machine_->guest(0).next_exit().kind != kvm::ExitKind::kDone)
        return note_failure("the guest did not come back as it should");
    }
  }
  Status verify() override {
    Expected<kvm::Stats> stats = kvm::Stats::open(machine_->kvm().sys(), machine_->vcpu(0).fd());
    if (!stats) return fail(stats.error());
    const std::optional<std::uint64_t> before = stats->value("exits");
    run(0);
    if (Expected<void> read = stats->refresh(); !read) return fail(read.error());
    if (before && *stats->value("exits") >= *before + exits_) return {};
    return fail("the kernel counted fewer exits");
  }
  std::uint64_t items() const override { return exits_; }

 private:
  std::uint64_t exits_;
  std::optional<GuestMachine> machine_;
};

/// Pages, or exits: sizes of `name`.
Definition counted(const char* name, std::vector<Parameter> parameters,
                   std::unique_ptr<Scenario> (*make)(const Arguments&)) {
  return {.name = name,
          .backend = "kvm",
          .parameters = std::move(parameters),
          .make = make,
          .unit = "instructions/page",
          .repetitions = 31,
          .label = "emulated instruction counts",
          .counted = true};
}

bool add_all() {
  const Parameter pages{"pages", {1, 16, 256, 4096}, {1, 16}};
  const auto first_waiting = kNames.begin() + static_cast<std::size_t>(Kind::kSlotAdd);
  add_benchmark(counted("kvm/operation", {{"operation", {kNames.begin(), first_waiting}}, pages},
                        make_scenario<Operation>));
  Definition slots = counted("kvm/operation", {{"operation", {first_waiting, kNames.end()}}, pages},
                             make_scenario<Operation>);
  // Both wait for readers of the old memslots to be gone, and waiting is no instruction.
  slots.label = "emulated instruction counts, waits included";
  add_benchmark(std::move(slots));
  Definition exits =
      counted("kvm/operation/exit", {{"exits", pages.real, pages.smoke}}, make_scenario<Exits>);
  exits.unit = "instructions/exit";
  return add_benchmark(std::move(exits));
}

const bool kAdded = add_all();

}  // namespace
}  // namespace sluice::bench
