// What the SNP instructions and access checks answer, restated from rmp.md 3, 4 and 5 alone as
// ordered rows of {condition, result}: a second opinion that a test compares with the model.
// Nothing here may include the model. Clear rather than fast: each call copies the table.
// All functions are pure. Thread: safe. Left out: TLB effects (rmp.md 4.2 row 10), locks held by
// other processors (AC3), the RMP's own memory, and what section 6 asks of VMRUN.
#pragma once
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "testing/rmp_state.h"

namespace sluice::testing_rmp {

enum class ResultKind {
  kCode,               // EAX = code, CF = 0
  kNoUpdate,           // EAX = 0, CF = 1: PVALIDATE changed nothing
  kInvalidOpcode,      // #UD
  kGeneralProtection,  // #GP
  kPageFault,          // #PF taken by the accessor; fault_bits = what we state of its error code
  kNotValidated,       // #VC PAGE_NOT_VALIDATED, code 0x404, delivered inside the guest
  kNestedPageFault,    // #VMEXIT(NPF) to the host; fault_bits = what we state of EXITINFO1
  kFirmwareRefuses,    // a firmware command answers with an error status; nothing changed
};

// Return codes (rmp.md 4.1).
inline constexpr std::uint32_t kSuccess = 0;
inline constexpr std::uint32_t kFailInput = 1;
inline constexpr std::uint32_t kFailPermission = 2;
inline constexpr std::uint32_t kFailInUse = 3;
inline constexpr std::uint32_t kFailOverlap = 4;
inline constexpr std::uint32_t kFailSizeMismatch = 6;
inline constexpr std::uint32_t kFailBadAddress = 7;
inline constexpr std::uint32_t kVcPageNotValidated = 0x404;

// Fault bits that are stated; compare others elsewhere (rmp.md 5, EXITINFO1 and AC5).
inline constexpr std::uint64_t kFaultReserved = std::uint64_t{1} << 3;  // guest #PF only
inline constexpr std::uint64_t kFaultRmp = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kFaultGuestWalk = std::uint64_t{1} << 33;
inline constexpr std::uint64_t kFaultEncrypted = std::uint64_t{1} << 34;
inline constexpr std::uint64_t kFaultSizeMismatch = std::uint64_t{1} << 35;
inline constexpr std::uint64_t kFaultVmpl = std::uint64_t{1} << 36;
inline constexpr std::uint64_t kFaultBitsStated = kFaultReserved | kFaultRmp | kFaultGuestWalk |
                                                  kFaultEncrypted | kFaultSizeMismatch | kFaultVmpl;

struct Result {
  ResultKind kind = ResultKind::kCode;
  std::uint32_t code = kSuccess;
  std::uint64_t fault_bits = 0;

  bool succeeded() const { return kind == ResultKind::kCode && code == kSuccess; }
  friend bool operator==(const Result&, const Result&) = default;
};

std::string to_string(const Result& result);
void PrintTo(const Result& result, std::ostream* out);

/// A result, the name of the row that decided ("4.2 row 8b"), and the table afterwards.
struct Answer {
  Result result{};
  std::string_view row;
  RmpState state;
};

/// The same for what never changes the table.
struct Decision {
  Result result{};
  std::string_view row;
};

// ---- The host's instructions ----

struct HostContext {
  bool snp_on = true;  // and 64-bit mode, and not inside a guest
  std::uint8_t cpl = 0;
};

/// RMPUPDATE's input (rmp.md 2), decoded. `reserved_bits` stands for any reserved bit or byte set;
/// `readable` false: reading the record faults.
struct RmpRecord {
  Gpa gpa{};
  bool assigned = false;
  PageSize page_size = PageSize::k4K;
  bool immutable = false;
  Asid asid{};
  bool reserved_bits = false;
  bool readable = true;

  friend bool operator==(const RmpRecord&, const RmpRecord&) = default;
};

Answer rmpupdate(const RmpState& state, HostContext host, Hpa spa, const RmpRecord& record);
Answer psmash(const RmpState& state, HostContext host, Hpa spa);

struct RmpReadAnswer {
  Result result{};
  std::string_view row;
  RmpRecord record{};         // of the frame's own slot; default unless succeeded
  bool region_is_2m = false;  // bit 1 of the record's pagesize byte: a live 2 MiB entry covers it
};

RmpReadAnswer rmpread(const RmpState& state, HostContext host, Hpa spa);

// ---- The guest's instructions ----

struct GuestContext {
  bool snp = true;  // false: not an SNP guest
  Asid asid{1};
  Vmpl vmpl{};
  std::uint8_t cpl = 0;
};

/// Leaf of the nested page table. `pfn` is the leaf's first frame (low bits below its level are
/// ignored); the frame touched adds the offset of the guest-physical address in the leaf.
struct NptLeaf {
  bool present = true;
  MapLevel level = MapLevel::k4K;
  Pfn pfn{};

  Pfn touched(Gpa gpa) const;
};

/// Operand of a guest instruction: RAX, and where the two translations take it. `mapped` false: the
/// guest's own tables fault; `c_bit` is that of its leaf.
struct GuestOperand {
  std::uint64_t gva = 0;
  Gpa gpa{};
  bool mapped = true;
  bool c_bit = true;
  NptLeaf leaf{};
};

/// `size_operand` is ECX: 0 = 4 KiB, 1 = 2 MiB, else refused.
struct PvalidateRequest {
  std::uint32_t size_operand = 0;
  bool validate = true;
};
Answer pvalidate(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                 PvalidateRequest request);

struct RmpAdjustRequest {
  std::uint32_t size_operand = 0;
  std::uint8_t target_vmpl = 1;  // RDX[7:0], any value
  std::uint8_t mask = 0;         // RDX[15:8]
  bool vmsa = false;             // RDX bit 16
};
Answer rmpadjust(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                 RmpAdjustRequest request);

struct RmpQueryAnswer {
  Result result{};
  std::string_view row;
  PageSize page_size = PageSize::k4K;  // RCX
  std::uint8_t mask = 0;               // RDX[15:8]; all three default unless succeeded
  bool vmsa = false;                   // RDX bit 16
};
RmpQueryAnswer rmpquery(const RmpState& state, GuestContext guest, const GuestOperand& operand,
                        std::uint8_t target_vmpl);

// ---- Access checks (rmp.md 5) ----

/// kPageTable: a table of the accessor's own tables is read by the walker. An A/D-bit update by the
/// walker is a kWrite of the table's frame (AC2).
enum class AccessKind { kRead, kWrite, kFetchUser, kFetchSupervisor, kPageTable };

struct GuestAccess {
  AccessKind kind = AccessKind::kRead;
  bool c_bit = true;
  Gpa gpa{};
  NptLeaf leaf{};
};

/// Success (code 0) = the access goes through. `guest.snp` false: a non-SNP guest. CPL is not used.
Decision guest_access(const RmpState& state, GuestContext guest, const GuestAccess& access);

/// The host touches `pfn` through a mapping of this level.
struct HostAccess {
  AccessKind kind = AccessKind::kWrite;
  MapLevel level = MapLevel::k4K;
  Pfn pfn{};
};
Decision host_access(const RmpState& state, const HostAccess& access);

// ---- The firmware's two commands that KVM needs ----

/// SNP_LAUNCH_UPDATE: Pre-Guest becomes Guest-Valid; `vmsa` = the page type is VMSA.
Answer fw_launch_update(const RmpState& state, Pfn pfn, bool vmsa = false);
/// SNP_PAGE_RECLAIM: clears Immutable where the page state allows it.
Answer fw_page_reclaim(const RmpState& state, Pfn pfn);

/// Names of all rows that can decide, without repetition, so that a test can ask that each does.
std::vector<std::string_view> all_row_names();

}  // namespace sluice::testing_rmp
