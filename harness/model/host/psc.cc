#include "model/host/psc.h"

#include <algorithm>

#include "model/host/ghcb.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kHeaderBytes = 8, kEntryBytes = 8;
/// SW_EXITINFO2 of a page state change (Linux VMGEXIT_PSC_ERROR_*).
constexpr std::uint64_t kErrorGeneric = std::uint64_t{0x100} << 32;
constexpr std::uint64_t kErrorHeader = (std::uint64_t{1} << 32) | 1;
constexpr std::uint64_t kErrorEntry = (std::uint64_t{1} << 32) | 2;
/// Linux GHCB_MSR_PSC_RESP, and the error in its upper half.
constexpr std::uint64_t kMsrResponse = 0x015;
constexpr std::uint64_t kMsrError = std::uint64_t{1} << 63;

bool is_known(std::uint8_t operation) {
  return operation == PscOperation::kPrivate || operation == PscOperation::kShared;
}

void set_word(Kernel& k, PscBuffer& buffer, unsigned at, std::uint64_t word) {
  k.set(buffer.words[at], word);
  if (at >= buffer.used && word != 0) k.set(buffer.used, static_cast<std::uint16_t>(at + 1));
}

void touch(Kernel& k, PscState& psc, unsigned index) {
  if (index >= psc.touched) k.set(psc.touched, static_cast<std::uint16_t>(index + 1));
}

PscEntry read_entry(Kernel& k, PscState& psc, unsigned index) {
  touch(k, psc, index);
  return psc.buffer.entry(index);
}

void advance_header(Kernel& k, PscState& psc, unsigned next) {
  const PscHeader header = psc.buffer.header();
  set_word(k, psc.buffer, 0, header.with_cur_entry(static_cast<std::uint16_t>(next)).value);
}

/// True if the kernel can find a buffer there; `room` is how many entries it has.
// Assumption: every modelled version counts that room, as 6.12 does from 6.12.93 on.
bool find_room(const PscRequest& request, std::uint16_t& room) {
  const std::uint64_t at = request.scratch.value;
  const bool anywhere = planted(Planted::kPscTakesScratchOutside);
  const GhcbVersion version = anywhere ? GhcbVersion{.value = 1} : request.version;
  if (!is_usable({.begin = request.scratch, .version = version, .size = kHeaderBytes})) {
    return false;
  }
  if (at < kPageBytes) {
    const std::uint64_t header = planted(Planted::kPscLengthIgnoresHeader) ? 0 : kHeaderBytes;
    room = static_cast<std::uint16_t>((kGhcbBufferEnd - at - header) / kEntryBytes);
    return true;
  }
  // Assumption: a version 1 guest's buffer outside of its GHCB counts as long as the GHCB's own.
  room = kPscMaxEntries;
  return true;
}

Check check_ghcb(const Kernel& k, const Vm& vm, const PscRequest& request) {
  if (vm.sev.active && request.ghcb == GhcbState::kUnregistered) {
    const bool told = behavior::unregistered_ghcb_gets_an_error(k.version());
    const Check check = fail(told ? Check::kPscUnregistered : Check::kPscUnregisteredKills);
    if (check != Check::kOk) return check;
  }
  if (request.ghcb == GhcbState::kBadUsage) {
    if (const Check check = fail(Check::kPscUsage); check != Check::kOk) return check;
  }
  // Assumption: a VM that is no SEV-ES VM and has no GHCB answers as one that has it (5.2 row 2).
  if (!vm.sev.active || request.ghcb == GhcbState::kNoScratch) {
    if (const Check check = fail(Check::kPscMissingInput); check != Check::kOk) return check;
  }
  std::uint16_t room = 0;
  if (!find_room(request, room)) {
    if (const Check check = fail(Check::kPscScratch); check != Check::kOk) return check;
  }
  return vm.exit_hypercall ? Check::kOk : fail(Check::kPscDisabled);
}

std::uint64_t exit_info_2(Check check) {
  switch (check) {
    case Check::kOk:
      return 0;
    case Check::kPscHeader:
      return kErrorHeader;
    case Check::kPscEntry:
      return kErrorEntry;
    case Check::kPscDisabled:
    case Check::kPscVmmFailed:
      return kErrorGeneric;
    default:
      return row_of(check).number;  // the reason, where SW_EXITINFO1 is 2
  }
}

Outcome answer_psc(Check check) {
  Outcome out = outcome_of(check);
  if (out.kind == StatusKind::kErrno) return out;  // KVM_RUN failed: the guest sees nothing
  out.has_value = true;
  out.value = exit_info_2(check);
  return out;
}

/// The records are those of the request that the buffer holds now.
void start_records(Kernel& k, PscState& psc) {
  k.set(psc.requests, psc.requests + 1);
  k.set(psc.written_by_others, false);
  k.set(psc.touched, 0);
  k.set(psc.exit_count, 0);
  const unsigned words = std::max(psc.buffer.used, psc.at_start.used);
  for (unsigned i = 0; i < words; ++i) k.set(psc.at_start.words[i], psc.buffer.words[i]);
  k.set(psc.at_start.used, psc.buffer.used);
}

void note_exit(Kernel& k, PscState& psc, const PscExit& exit) {
  if (psc.exit_count == psc.exits.size()) return;
  PscExit& record = psc.exits[psc.exit_count];
  k.set(record.first, exit.first);
  k.set(record.count, exit.count);
  k.set(record.to_private, exit.to_private);
  k.set(record.granted, false);
  k.set(psc.exit_count, static_cast<std::uint16_t>(psc.exit_count + 1));
}

PscStart refused(PscStart start, Check check) {
  start.refused = check;
  return start;
}

/// Row 5: does `entry` continue a batch of `pages` pages that `start` began?
bool continues(const PscStart& start, PscEntry entry, std::uint64_t pages) {
  if (!planted(Planted::kPscBatchMixesOperations) && entry.operation() != start.entry.operation())
    return false;
  // The start's own gfn, not that of its next page: snp_host.md 5.3 row 5 says what comes of it.
  const bool adjacent = entry.gfn() == start.entry.gfn() + PageCount{pages};
  return adjacent && entry.cur_page() == 0 && entry.is_2m() == start.large;
}

}  // namespace

void fill_psc_buffer(Kernel& k, Vcpu& vcpu, PscHeader header, std::span<const PscEntry> entries) {
  PscBuffer& buffer = vcpu.psc.buffer;
  for (unsigned i = static_cast<unsigned>(entries.size()) + 1; i < buffer.used; ++i)
    k.set(buffer.words[i], 0);
  k.set(buffer.used, static_cast<std::uint16_t>(entries.size() + 1));
  k.set(buffer.words[0], header.value);
  for (std::size_t i = 0; i < entries.size(); ++i) k.set(buffer.words[1 + i], entries[i].value);
  start_records(k, vcpu.psc);
  k.set(vcpu.psc.begun_by_others, false);
}

void write_psc_word(Kernel& k, Vcpu& vcpu, unsigned index, std::uint64_t word) {
  set_word(k, vcpu.psc.buffer, index, word);
  k.set(vcpu.psc.written_by_others, true);
}

void write_scratch(Kernel& k, Vcpu& vcpu, GhcbScratch scratch) {
  k.set(vcpu.psc.scratch_field, scratch.value);
}

Check begin_psc(Kernel& k, Vcpu& vcpu, const PscRequest& request) {
  const Check check = check_ghcb(k, k.vm(vcpu.vm), request);
  if (check != Check::kOk) return check;
  std::uint16_t room = kPscMaxEntries;
  if (!planted(Planted::kPscBoundFromProtocol)) find_room(request, room);
  if (vcpu.psc.written_by_others) k.set(vcpu.psc.begun_by_others, true);
  start_records(k, vcpu.psc);
  k.set(vcpu.psc.version, request.version.value);
  k.set(vcpu.psc.scratch, request.scratch.value);
  if (vcpu.psc.scratch_field != request.scratch.value) write_scratch(k, vcpu, request.scratch);
  k.set(vcpu.psc.room, room);
  k.set(vcpu.psc.open, true);
  return Check::kOk;
}

PscStart find_psc_start(Kernel& k, Vcpu& vcpu) {
  PscState& psc = vcpu.psc;
  const PscHeader header = psc.buffer.header();
  PscStart start{.last = header.end_entry()};
  if (header.end_entry() >= psc.room) {
    if (const Check check = fail(Check::kPscHeader); check != Check::kOk)
      return refused(start, check);
  }
  for (unsigned index = header.cur_entry(); index <= start.last; ++index) {
    const PscEntry entry = read_entry(k, psc, index);
    start.index = static_cast<std::uint16_t>(index);
    start.entry = entry;
    start.pages = static_cast<std::uint16_t>(entry.pages());
    start.gfn = entry.gfn();
    start.large = entry.is_2m();
    if (entry.cur_page() > entry.pages() || !entry.gfn().is_aligned(entry.pages())) {
      if (const Check check = fail(Check::kPscEntry); check != Check::kOk)
        return refused(start, check);
    }
    if (entry.cur_page() != 0) {
      start.pages = static_cast<std::uint16_t>(start.pages - entry.cur_page());
      start.gfn = start.gfn + PageCount{entry.cur_page()};
      start.large = false;
    }
    start.found = start.pages != 0;
    if (start.found) return start;
    const unsigned steps = planted(Planted::kPscSkipsTwo) ? 2 : 1;
    advance_header(k, psc, psc.buffer.header().cur_entry() + steps);
  }
  return start;
}

bool take_psc_batch(Kernel& k, Vcpu& vcpu, const PscStart& start, ConversionExit& exit) {
  PscState& psc = vcpu.psc;
  if (planted(Planted::kGhcbScratchReadTwice)) k.set(psc.scratch, psc.scratch_field);
  const unsigned last =
      planted(Planted::kPscReadsHeaderTwice) ? psc.buffer.header().end_entry() : start.last;
  std::uint64_t pages = start.pages;
  unsigned index = start.index + 1u;
  while (index <= last && continues(start, read_entry(k, psc, index), pages)) {
    pages += start.large ? kFramesPer2M : 1;
    ++index;
  }
  k.set(psc.batch_start, start.index);
  k.set(psc.batch_size, static_cast<std::uint16_t>(index - start.index));
  if (!is_known(start.entry.operation())) {
    complete_psc_batch(k, vcpu);
    return false;
  }
  const bool to_private = start.entry.operation() == PscOperation::kPrivate;
  exit = {.gpa = address_of(start.gfn).value,
          .page_count = pages,
          .attributes = (to_private ? kMapGpaEncrypted : 0) | (start.entry.is_2m() ? 1u : 0u)};
  k.set(psc.exit_pending, true);
  note_exit(k, psc, {.first = start.gfn, .count = pages, .to_private = to_private});
  return true;
}

void note_psc_granted(Kernel& k, Vcpu& vcpu) {
  PscState& psc = vcpu.psc;
  if (psc.exit_count > 0) k.set(psc.exits[psc.exit_count - 1].granted, true);
}

void complete_psc_batch(Kernel& k, Vcpu& vcpu) {
  PscState& psc = vcpu.psc;
  k.set(psc.exit_pending, false);
  unsigned index = psc.batch_start;
  for (; psc.batch_size > 0; ++index) {
    const PscEntry entry = read_entry(k, psc, index);
    if (index < kPscMaxEntries)
      set_word(k, psc.buffer, 1 + index, entry.with_cur_page(entry.pages()).value);
    k.set(psc.batch_size, static_cast<std::uint16_t>(psc.batch_size - 1));
  }
  advance_header(k, psc, index);
}

Outcome finish_psc(Kernel& k, Vcpu& vcpu, Check check) {
  PscState& psc = vcpu.psc;
  k.set(psc.exit_pending, false);
  if (!planted(Planted::kPscKeepsBatch)) k.set(psc.batch_size, 0);
  k.set(psc.batch_start, 0);
  k.set(psc.open, false);
  return answer_psc(check);
}

Outcome refuse_psc(Check check) { return answer_psc(check); }

void forget_psc(Kernel& k, Vcpu& vcpu) {
  PscState& psc = vcpu.psc;
  if (psc.requests == 0 && psc.buffer.used == 0) return;
  for (unsigned i = 0; i < psc.buffer.used; ++i) k.set(psc.buffer.words[i], 0);
  k.set(psc.buffer.used, 0);
  k.set(psc.exit_pending, false);
  k.set(psc.batch_size, 0);
  k.set(psc.batch_start, 0);
  k.set(psc.room, 0);
  k.set(psc.open, false);
  k.set(psc.requests, 0);
}

Check check_psc_msr(const Vm& vm, PscOperation operation) {
  // Assumption: a VM that is no SEV-ES VM ends on this request as an SEV-ES VM without SNP does.
  if (!vm.sev.active) {
    if (const Check check = fail(Check::kPscMsrNotSnp); check != Check::kOk) return check;
  }
  if (!is_known(operation.value)) {
    if (const Check check = fail(Check::kPscMsrOperation); check != Check::kOk) return check;
  }
  return vm.exit_hypercall ? Check::kOk : fail(Check::kPscMsrDisabled);
}

Outcome answer_psc_msr(Check check) {
  Outcome out = outcome_of(check);
  if (out.kind == StatusKind::kExit) return out;
  out.has_value = true;
  out.value = kMsrResponse | (check == Check::kOk ? 0 : kMsrError);
  return out;
}

}  // namespace sluice::model
