// What exists at a point of a sequence, read off its text alone: which VMs, vCPUs and guest_memfds
// were created and not destroyed, who was left parked. A guess (a creation may be refused), good
// enough to keep random and mutated operations acting on objects instead of on nothing.
#pragma once
#include <array>
#include <cstdint>

#include "base/rng.h"
#include "ops/domain.h"
#include "ops/sequence.h"

namespace sluice {

/// A set of small indices.
struct IndexSet {
  std::uint32_t bits = 0;
  constexpr bool has(unsigned i) const { return (bits >> i & 1) != 0; }
  constexpr void add(unsigned i) { bits |= 1u << i; }
  constexpr void remove(unsigned i) { bits &= ~(1u << i); }
  constexpr bool empty() const { return bits == 0; }
  /// Pre: not empty.
  unsigned pick(Rng& rng) const;
  /// The lowest index below `limit` not in the set; `limit` if all are.
  unsigned first_free(unsigned limit) const;
};

struct Context {
  IndexSet vms{};
  IndexSet vcpus{};
  IndexSet gmems{};
  IndexSet parked{};      // actor_slot()
  IndexSet smm{};         // vCPUs in system management mode
  IndexSet guest_mode{};  // vCPUs that run L2
  IndexSet irqchips{};    // VMs with an interrupt controller in the kernel
  std::array<std::uint8_t, kMaxVcpus> vm_of_vcpu{};
  std::array<VmType, kMaxVms> type_of_vm{};

  /// Takes `step` as done.
  void observe(const Step& step);
};

/// The role of a field in naming objects.
enum class FieldRole : std::uint8_t { kPlain, kVm, kVcpu, kGmem, kGmemRef, kActor };
FieldRole role_of(const DomainSpec& domain);
/// False of a step that would change the mode of a vCPU which is not in the mode where it begins,
/// or whose VM does not have the other.
bool changes_mode(const Step& step, const Context& context);
/// The VM has a vCPU in system management mode.
bool uses_smm(const Context& context, VmIndex vm);
/// True if operation `index` creates the object that `role` names (create_vm its VM, ...).
bool creates(std::size_t index, FieldRole role);

/// Makes `step` name objects that exist in `context`, and free places for what it creates; false if
/// nothing it could name exists. Fields of other roles stay.
bool attach(Step& step, const Context& context, Rng& rng);

/// Attaches every step in order; drops the steps that cannot be and most of those that would change
/// a mode and cannot, resumes actors that were left
/// parked before they act again. At most kMaxOps steps stay.
void repair(Sequence& sequence, Rng& rng);

}  // namespace sluice
