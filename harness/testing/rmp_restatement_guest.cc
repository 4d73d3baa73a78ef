// The guest's instructions: PVALIDATE, RMPADJUST, RMPQUERY (rmp.md 4.4, 4.5, 4.1).
#include "testing/rmp_restatement.h"
#include "testing/rmp_rows.h"

namespace sluice::testing_rmp {
namespace {

struct GuestCase {
  const RmpState& state;
  GuestContext guest;
  GuestOperand operand;
  std::uint32_t size_operand = 0;
  bool validate = false;         // PVALIDATE only
  std::uint8_t target_vmpl = 0;  // RMPADJUST, RMPQUERY
  std::uint8_t mask = 0;         // RMPADJUST only
  bool vmsa = false;             // RMPADJUST only

  Pfn touched() const { return operand.leaf.touched(operand.gpa); }
  CoveringEntry covering() const { return state.covering(touched()); }
  RmpEntry entry() const { return covering().entry; }
  bool asks_2m() const { return size_operand == 1; }
};

bool is_not_snp(const GuestCase& c) { return !c.guest.snp; }
bool cpl_is_not_zero(const GuestCase& c) { return c.guest.cpl != 0; }
bool vmpl_is_not_zero(const GuestCase& c) { return c.guest.vmpl != Vmpl{}; }

// Assumption: a size operand other than 0 and 1 is FAIL_INPUT, for RMPADJUST as for PVALIDATE.
bool size_operand_is_unknown(const GuestCase& c) { return c.size_operand > 1; }
// Assumption: bits 11:0 of the virtual address are ignored; only a 2 MiB request can be misaligned.
bool gva_is_misaligned(const GuestCase& c) {
  return c.asks_2m() && (c.operand.gva >> kPageShift) % kFramesPer2M != 0;
}

bool guest_tables_fault(const GuestCase& c) { return !c.operand.mapped; }
// Assumption: a guest instruction here through a mapping with C=0 raises #PF with the RSV bit.
bool mapping_is_shared(const GuestCase& c) { return !c.operand.c_bit; }

bool npt_is_not_present(const GuestCase& c) { return !c.operand.leaf.present; }
bool is_not_assigned(const GuestCase& c) { return !c.entry().assigned; }
bool is_another_guests(const GuestCase& c) { return c.entry().asid != c.guest.asid; }
bool is_bound_elsewhere(const GuestCase& c) {
  const PageCount offset = c.touched() - c.covering().head;
  return c.entry().gpa.containing_frame() + offset != c.operand.gpa.containing_frame();
}
bool is_immutable(const GuestCase& c) { return c.entry().immutable; }

bool asks_4k_of_2m_entry(const GuestCase& c) {
  return !c.asks_2m() && c.entry().page_size == PageSize::k2M;
}
// Assumption: RMPADJUST checks the size of the nested leaf just as PVALIDATE does.
bool asks_4k_of_larger_leaf(const GuestCase& c) {
  return !c.asks_2m() && c.operand.leaf.level != MapLevel::k4K;
}
bool asks_2m_of_4k_entry(const GuestCase& c) {
  return c.asks_2m() && c.entry().page_size == PageSize::k4K;
}
bool asks_2m_of_4k_leaf(const GuestCase& c) {
  return c.asks_2m() && c.operand.leaf.level == MapLevel::k4K;
}

bool validated_is_already_so(const GuestCase& c) { return c.entry().validated == c.validate; }
bool is_not_validated(const GuestCase& c) { return !c.entry().validated; }

// Assumption: RMPADJUST's target VMPL above 3 is FAIL_INPUT and comes before row 3.
bool target_vmpl_is_unknown(const GuestCase& c) { return c.target_vmpl >= kVmplCount; }
bool target_is_not_below_caller(const GuestCase& c) { return c.target_vmpl <= c.guest.vmpl.value; }
// Assumption: RMPADJUST of a page in use is FAIL_INUSE (rmp.md 6, against 4.1), after row 4.
bool some_frame_is_in_use(const GuestCase& c) {
  return c.state.any_in_use(c.covering().head, PageCount{frames_in(c.entry().page_size)});
}
// Assumption: a mask that allows writing but not reading is accepted.
bool gives_more_than_it_has(const GuestCase& c) {
  return (c.mask & ~c.entry().masks[c.guest.vmpl.value]) != 0;
}
// Assumption: VMSA=1 from another VMPL than 0 is FAIL_PERMISSION; VMSA=0 may be given by any.
bool sets_vmsa_without_vmpl0(const GuestCase& c) { return c.vmsa && c.guest.vmpl != Vmpl{}; }

constexpr Result kViolation = npf(kFaultRmp | kFaultEncrypted);
constexpr Result kSizeViolation = npf(kFaultRmp | kFaultEncrypted | kFaultSizeMismatch);

constexpr Row<GuestCase> kPvalidateRows[] = {
    {"4.4 row 1", is_not_snp, kUd},
    {"4.4 row 2 cpl", cpl_is_not_zero, kGp},
    {"4.4 row 2 vmpl", vmpl_is_not_zero, kGp},
    {"4.4 row 3 operand", size_operand_is_unknown, code(kFailInput)},
    {"4.4 row 3", gva_is_misaligned, code(kFailInput)},
    {"4.4 row 4", guest_tables_fault, page_fault(0)},
    {"4.4 row 4b", mapping_is_shared, page_fault(kFaultReserved)},
    {"4.4 row 5 npt", npt_is_not_present, npf(kFaultEncrypted)},
    {"4.4 row 5 assigned", is_not_assigned, kViolation},
    {"4.4 row 5 asid", is_another_guests, kViolation},
    {"4.4 row 5 gpa", is_bound_elsewhere, kViolation},
    {"4.4 row 5 immutable", is_immutable, kViolation},
    {"4.4 row 6 entry", asks_4k_of_2m_entry, kSizeViolation},
    {"4.4 row 6 npt", asks_4k_of_larger_leaf, kSizeViolation},
    {"4.4 row 7 entry", asks_2m_of_4k_entry, code(kFailSizeMismatch)},
    {"4.4 row 7 npt", asks_2m_of_4k_leaf, code(kFailSizeMismatch)},
    {"4.4 row 8", validated_is_already_so, kCarry},
    {"4.4 row 9", otherwise, code(kSuccess)},
};

constexpr Row<GuestCase> kRmpAdjustRows[] = {
    {"4.5 row 1", is_not_snp, kUd},
    {"4.5 row 1 cpl", cpl_is_not_zero, kGp},
    {"4.5 row 2 operand", size_operand_is_unknown, code(kFailInput)},
    {"4.5 row 2", gva_is_misaligned, code(kFailInput)},
    {"4.5 row 2 target", target_vmpl_is_unknown, code(kFailInput)},
    {"4.5 row 3", target_is_not_below_caller, code(kFailPermission)},
    {"4.5 row 4 guest tables", guest_tables_fault, page_fault(0)},
    {"4.5 row 4 c-bit", mapping_is_shared, page_fault(kFaultReserved)},
    {"4.5 row 4 npt", npt_is_not_present, npf(kFaultEncrypted)},
    {"4.5 row 4 assigned", is_not_assigned, kViolation},
    {"4.5 row 4 asid", is_another_guests, kViolation},
    {"4.5 row 4 gpa", is_bound_elsewhere, kViolation},
    {"4.5 row 4 immutable", is_immutable, kViolation},
    {"4.5 row 4 size entry", asks_4k_of_2m_entry, kSizeViolation},
    {"4.5 row 4 size npt", asks_4k_of_larger_leaf, kSizeViolation},
    {"4.5 row 4 in use", some_frame_is_in_use, code(kFailInUse)},
    {"4.5 row 5", is_not_validated, kVc},
    {"4.5 row 6 entry", asks_2m_of_4k_entry, code(kFailSizeMismatch)},
    {"4.5 row 6 npt", asks_2m_of_4k_leaf, code(kFailSizeMismatch)},
    {"4.5 row 7", gives_more_than_it_has, code(kFailPermission)},
    {"4.5 row 8", sets_vmsa_without_vmpl0, code(kFailPermission)},
    {"4.5 row 9", otherwise, code(kSuccess)},
};

// Assumption: RMPQUERY runs at any CPL; it checks ownership and Validated like RMPADJUST, no size.
// Assumption: RMPQUERY of a target VMPL above 3, or not below the caller, is FAIL_PERMISSION.
constexpr Row<GuestCase> kRmpQueryRows[] = {
    {"4 rmpquery mode", is_not_snp, kUd},
    {"4.1 rmpquery target", target_vmpl_is_unknown, code(kFailPermission)},
    {"4.1 rmpquery caller", target_is_not_below_caller, code(kFailPermission)},
    {"4.1 rmpquery guest tables", guest_tables_fault, page_fault(0)},
    {"4.1 rmpquery c-bit", mapping_is_shared, page_fault(kFaultReserved)},
    {"4.1 rmpquery npt", npt_is_not_present, npf(kFaultEncrypted)},
    {"4.1 rmpquery assigned", is_not_assigned, kViolation},
    {"4.1 rmpquery asid", is_another_guests, kViolation},
    {"4.1 rmpquery gpa", is_bound_elsewhere, kViolation},
    {"4.1 rmpquery immutable", is_immutable, kViolation},
    {"4.1 rmpquery validated", is_not_validated, kVc},
    {"4.1 rmpquery", otherwise, code(kSuccess)},
};

}  // namespace

Pfn NptLeaf::touched(Gpa gpa) const {
  const std::uint64_t frames = frames_in(level);
  const Gfn gfn = gpa.containing_frame();
  return pfn.align_down(frames) + (gfn - gfn.align_down(frames));
}

Answer pvalidate(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                 PvalidateRequest request) {
  const GuestCase c{.state = state,
                    .guest = guest,
                    .operand = operand,
                    .size_operand = request.size_operand,
                    .validate = request.validate};
  const Decision decision = decide<GuestCase>(kPvalidateRows, c);
  if (!decision.result.succeeded()) return {decision.result, decision.row, state};
  // Assumption: PVALIDATE(0) on a VMSA page leaves VMSA=1, and on every page the masks.
  RmpEntry entry = c.entry();
  entry.validated = request.validate;
  return {decision.result, decision.row, state.with_entry(c.covering().head, entry)};
}

Answer rmpadjust(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                 RmpAdjustRequest request) {
  SLUICE_CHECK(guest.vmpl.value < kVmplCount);
  const GuestCase c{.state = state,
                    .guest = guest,
                    .operand = operand,
                    .size_operand = request.size_operand,
                    .target_vmpl = request.target_vmpl,
                    .mask = request.mask,
                    .vmsa = request.vmsa};
  const Decision decision = decide<GuestCase>(kRmpAdjustRows, c);
  if (!decision.result.succeeded()) return {decision.result, decision.row, state};
  RmpEntry entry = c.entry();
  entry.masks[request.target_vmpl] = request.mask;
  entry.vmsa = request.vmsa;
  return {decision.result, decision.row, state.with_entry(c.covering().head, entry)};
}

RmpQueryAnswer rmpquery(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                        std::uint8_t target_vmpl) {
  const GuestCase c{.state = state, .guest = guest, .operand = operand, .target_vmpl = target_vmpl};
  const Decision decision = decide<GuestCase>(kRmpQueryRows, c);
  if (!decision.result.succeeded()) return {.result = decision.result, .row = decision.row};
  const RmpEntry entry = c.entry();
  return {decision.result, decision.row, entry.page_size, entry.masks[target_vmpl], entry.vmsa};
}

void append_guest_rows(std::vector<std::string_view>& names) {
  append_names<GuestCase>(kPvalidateRows, names);
  append_names<GuestCase>(kRmpAdjustRows, names);
  append_names<GuestCase>(kRmpQueryRows, names);
}

}  // namespace sluice::testing_rmp
