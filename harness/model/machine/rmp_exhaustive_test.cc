// The model's RMP against an independent restatement of the manual, over every state that two
// frames and two guests can reach. All sequences of three operations, and longer ones, are covered:
// states are explored until nothing new appears within kDepth steps, and in each state every
// operation of the alphabet is tried on both sides and compared in answer and in effect.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/machine/machine.h"
#include "testing/rmp_restatement.h"

namespace sluice::model {
namespace {

namespace spec = testing_rmp;

constexpr std::uint64_t kFrames = 2 * kFramesPer2M;
constexpr std::array<std::uint64_t, 2> kPfns{
    kFramesPer2M, kFramesPer2M + 1};  // a 2 MiB head and a frame behind it
constexpr std::array<std::uint64_t, 2> kGpas{0x40000000, 0x40001000};
constexpr unsigned kDepth = 5;

struct Trial {
  enum class Kind { kUpdate, kSmash, kPvalidate, kAdjust, kLaunchUpdate, kReclaim } kind{};
  std::uint64_t pfn = 0;
  RmpRecord record{};
  GuestPage page{};
  PageSizeArg size = PageSizeArg::k4K;
  bool validate = true;
  RmpAdjustArguments adjust{};
};

std::vector<Trial> host_alphabet(std::uint64_t pfn) {
  std::vector<Trial> out;
  for (const PageSize size : {PageSize::k4K, PageSize::k2M}) {
    for (const bool immutable : {false, true}) {
      for (const std::uint32_t asid : {0u, 1u, 2u}) {
        out.push_back({.kind = Trial::Kind::kUpdate,
                       .pfn = pfn,
                       .record = {.page_size = size, .immutable = immutable, .asid = asid}});
        for (const std::uint64_t gpa : kGpas) {
          out.push_back({.kind = Trial::Kind::kUpdate,
                         .pfn = pfn,
                         .record = {.gpa = gpa,
                                    .page_size = size,
                                    .assigned = true,
                                    .immutable = immutable,
                                    .asid = asid}});
        }
      }
    }
  }
  for (const Trial::Kind kind :
       {Trial::Kind::kSmash, Trial::Kind::kLaunchUpdate, Trial::Kind::kReclaim})
    out.push_back({.kind = kind, .pfn = pfn});
  return out;
}

GuestPage guest_page(std::uint32_t asid, std::uint64_t pfn, std::uint64_t gpa, MapLevel level) {
  return {.asid = {asid},
          .gpa = {gpa},
          .leaf = {.present = true, .writable = true, .level = level, .pfn = {pfn}}};
}

std::vector<Trial> guest_alphabet(std::uint64_t pfn) {
  std::vector<Trial> out;
  for (const std::uint32_t asid : {1u, 2u}) {
    for (const std::uint64_t gpa : kGpas) {
      for (const MapLevel level : {MapLevel::k4K, MapLevel::k2M}) {
        // In a large leaf the frame's place in the block and the address's place must agree.
        if (level == MapLevel::k2M && (pfn & 1) != ((gpa >> kPageShift) & 1)) continue;
        for (const PageSizeArg size : {PageSizeArg::k4K, PageSizeArg::k2M, PageSizeArg::kInvalid}) {
          const GuestPage page = guest_page(asid, pfn, gpa, level);
          for (const bool validate : {false, true})
            out.push_back({.kind = Trial::Kind::kPvalidate,
                           .pfn = pfn,
                           .page = page,
                           .size = size,
                           .validate = validate});
          GuestPage user = page;
          user.cpl = 3;
          out.push_back({.kind = Trial::Kind::kPvalidate, .pfn = pfn, .page = user, .size = size});
          out.push_back({.kind = Trial::Kind::kAdjust,
                         .pfn = pfn,
                         .page = user,
                         .adjust = {.size = size, .target_vmpl = 2}});
          for (const std::uint8_t vmpl : {std::uint8_t{0}, std::uint8_t{1}}) {
            GuestPage less = page;
            less.vmpl = vmpl;
            out.push_back({.kind = Trial::Kind::kAdjust,
                           .pfn = pfn,
                           .page = less,
                           .adjust = {.size = size, .target_vmpl = 1, .mask = 0x3, .vmsa = false}});
            out.push_back(
                {.kind = Trial::Kind::kAdjust,
                 .pfn = pfn,
                 .page = less,
                 .adjust = {.size = size, .target_vmpl = 2, .mask = 0x1, .vmsa = asid == 1}});
          }
        }
      }
    }
  }
  return out;
}

spec::GuestContext context_of(const GuestPage& page) {
  return {.snp = page.snp, .asid = page.asid, .vmpl = {page.vmpl}, .cpl = page.cpl};
}
spec::NptLeaf leaf_of(const GuestPage& page) {
  return {.present = page.leaf.present,
          .level = page.leaf.level,
          .pfn = page.leaf.pfn.align_down(frames_in(page.leaf.level))};
}
spec::GuestOperand operand_of(const GuestPage& page) {
  return {.gva = page.gpa.value, .gpa = page.gpa, .leaf = leaf_of(page)};
}

spec::Result result_of(const GuestResult& result) {
  if (result.npf != 0)
    return {.kind = spec::ResultKind::kNestedPageFault,
            .fault_bits = result.npf & spec::kFaultBitsStated};
  const CheckRow& row = row_of(result.check);
  if (row.kind == StatusKind::kCarry) return {.kind = spec::ResultKind::kNoUpdate};
  if (row.kind == StatusKind::kException) {
    if (row.number == 29)
      return {.kind = spec::ResultKind::kNotValidated, .code = spec::kVcPageNotValidated};
    return {.kind = row.number == 6 ? spec::ResultKind::kInvalidOpcode
                                    : spec::ResultKind::kGeneralProtection};
  }
  return {.kind = spec::ResultKind::kCode, .code = row.number};
}
spec::Result result_of(FirmwareStatus status) {
  return {.kind = status == FirmwareStatus::kSuccess ? spec::ResultKind::kCode
                                                     : spec::ResultKind::kFirmwareRefuses};
}

std::uint32_t size_operand(PageSizeArg size) { return static_cast<std::uint32_t>(size); }

spec::Answer restate(const spec::RmpState& state, const Trial& t) {
  switch (t.kind) {
    case Trial::Kind::kUpdate:
      return spec::rmpupdate(state, {}, Hpa{t.pfn << kPageShift},
                             {.gpa = {t.record.gpa},
                              .assigned = t.record.assigned,
                              .page_size = t.record.page_size,
                              .immutable = t.record.immutable,
                              .asid = {t.record.asid}});
    case Trial::Kind::kSmash:
      return spec::psmash(state, {}, Hpa{t.pfn << kPageShift});
    case Trial::Kind::kPvalidate:
      return spec::pvalidate(state, context_of(t.page), operand_of(t.page),
                             {.size_operand = size_operand(t.size), .validate = t.validate});
    case Trial::Kind::kAdjust:
      return spec::rmpadjust(state, context_of(t.page), operand_of(t.page),
                             {.size_operand = size_operand(t.adjust.size),
                              .target_vmpl = t.adjust.target_vmpl,
                              .mask = t.adjust.mask,
                              .vmsa = t.adjust.vmsa});
    case Trial::Kind::kLaunchUpdate:
      return spec::fw_launch_update(state, {t.pfn});
    case Trial::Kind::kReclaim:
      break;
  }
  return spec::fw_page_reclaim(state, {t.pfn});
}

spec::Result execute(Machine& m, const Trial& t) {
  switch (t.kind) {
    case Trial::Kind::kUpdate:
      return result_of(
          GuestResult{.check = m.rmp.update(m.journal, t.pfn << kPageShift, t.record)});
    case Trial::Kind::kSmash:
      return result_of(GuestResult{.check = m.rmp.smash(m.journal, t.pfn << kPageShift)});
    case Trial::Kind::kPvalidate:
      return result_of(pvalidate(m.rmp, m.journal, t.page, t.size, t.validate));
    case Trial::Kind::kAdjust:
      return result_of(rmpadjust(m.rmp, m.journal, t.page, t.adjust));
    case Trial::Kind::kLaunchUpdate:
      return result_of(m.rmp.firmware_launch_update(m.journal, {t.pfn}, false));
    case Trial::Kind::kReclaim:
      break;
  }
  return result_of(m.rmp.firmware_reclaim(m.journal, {t.pfn}));
}

bool same_slot(const spec::RmpEntry& want, const RmpEntry& got) {
  for (std::uint8_t i = 0; i < kVmplCount; ++i) {
    if (want.masks[i] != got.mask(Vmpl{i})) return false;
  }
  return want.assigned == got.assigned() && want.page_size == got.page_size() &&
         want.immutable == got.immutable() && want.gpa == got.gpa() && want.asid == got.asid() &&
         want.vmsa == got.vmsa() && want.validated == got.validated();
}

/// The frame whose slot differs, or kFrames. Only 2 MiB writes and smashes reach beyond the two
/// frames and the block's end.
std::uint64_t first_difference(const spec::RmpState& want, const Rmp& got, const Trial& t) {
  const bool wide = t.kind == Trial::Kind::kSmash || t.record.page_size == PageSize::k2M;
  for (std::uint64_t pfn = kFramesPer2M; pfn < kFrames; ++pfn) {
    if (!wide && pfn > kPfns[1] && pfn != kFrames - 1) continue;
    if (!same_slot(want.own_slot({pfn}), got.own({pfn}))) return pfn;
  }
  return kFrames;
}

std::string key_of(const spec::RmpState& state) {
  std::string key;
  for (const auto& [pfn, entry] : state.written()) {
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): does not see through the binding.
    const auto mask = [&](std::size_t i) { return std::to_string(entry.masks[i]); };
    // The 510 frames behind change only together: the last stands for them.
    if (pfn.value > kPfns[1] && pfn.value != kFrames - 1) continue;
    key += std::to_string(pfn.value) + (entry.assigned ? "A" : "") + (entry.immutable ? "I" : "") +
           (entry.validated ? "V" : "") + (entry.vmsa ? "S" : "") +
           (entry.page_size == PageSize::k2M ? "L" : "") + std::to_string(entry.gpa.value) + "," +
           std::to_string(entry.asid.value) + "," + mask(0) + mask(1) + mask(2) + ";";
  }
  return key + "#" + std::to_string(state.written().size());
}

/// Every access of either guest and of the host, in this state, on both sides.
void compare_accesses(const spec::RmpState& state, const Rmp& rmp, std::uint64_t& compared) {
  constexpr std::array kinds{std::pair{AccessKind::kRead, spec::AccessKind::kRead},
                             std::pair{AccessKind::kWrite, spec::AccessKind::kWrite},
                             std::pair{AccessKind::kFetch, spec::AccessKind::kFetchSupervisor}};
  for (const Trial& t : guest_alphabet(kPfns[0])) {
    if (t.kind != Trial::Kind::kAdjust || t.adjust.target_vmpl != 1)
      continue;  // one trial per guest, address, level and VMPL
    std::uint8_t mask = 0;
    const auto asked = spec::rmpquery(state, context_of(t.page), operand_of(t.page), 1);
    ASSERT_EQ(asked.result, result_of(rmpquery(rmp, t.page, 1, mask)))
        << asked.row << " in " << key_of(state);
    ASSERT_TRUE(!asked.result.succeeded() || asked.mask == mask) << key_of(state);
    for (const std::uint64_t pfn : kPfns) {
      GuestPage page = t.page;
      page.leaf.pfn = {
          page.leaf.level == MapLevel::k2M ? kPfns[0] + (page.gpa.value >> kPageShift & 1) : pfn};
      for (const bool snp : {true, false}) {
        page.snp = snp;
        for (const auto& [kind, spec_kind] : kinds) {
          for (const bool c_bit : {true, false}) {
            const auto want = spec::guest_access(
                state, context_of(page),
                {.kind = spec_kind, .c_bit = c_bit, .gpa = page.gpa, .leaf = leaf_of(page)});
            const auto got =
                result_of(check_guest_access(rmp, page, {.kind = kind, .c_bit = c_bit}));
            ASSERT_EQ(want.result, got)
                << want.row << " in " << key_of(state) << " pfn " << page.leaf.pfn.value << " gpa "
                << page.gpa.value << " asid " << page.asid.value << " level "
                << static_cast<int>(page.leaf.level) << " vmpl " << int{page.vmpl} << " snp " << snp
                << " c " << c_bit << " kind " << static_cast<int>(kind);
            ++compared;
          }
        }
      }
    }
  }
  for (const MapLevel level : {MapLevel::k4K, MapLevel::k2M, MapLevel::k1G}) {
    for (const std::uint64_t pfn : kPfns) {
      const bool allowed =
          spec::host_access(state, {.level = level, .pfn = {pfn}}).result.succeeded();
      ASSERT_EQ(allowed, rmp.is_hypervisor_owned({pfn}, level))
          << key_of(state) << " host write " << pfn;
    }
  }
}

/// Every trial once more, with a frame inside the block that some vCPU has in use.
void compare_in_use(const spec::RmpState& state, Machine& m, const std::vector<Trial>& alphabet,
                    std::set<std::string_view>& rows) {
  const auto here = m.journal.mark();
  const Pfn marked{kPfns[0] + 1};
  const spec::RmpState in_use = state.with_in_use(marked, true);
  for (const Trial& t : alphabet) {
    m.rmp.mark_in_use(m.journal, marked);
    const spec::Answer want = restate(in_use, t);
    rows.insert(want.row);
    ASSERT_EQ(want.result, execute(m, t))
        << want.row << " in state " << key_of(state) << " with a frame in use, kind "
        << static_cast<int>(t.kind) << " pfn " << t.pfn << " gpa " << t.record.gpa;
    m.journal.roll_back(here);
  }
}

struct Found {
  std::vector<std::size_t> path;
  spec::RmpState state;
};

TEST(RmpExhaustive, TheModelAgreesWithTheRestatementInEveryReachableState) {
  HostProfile profile{};
  profile.frame_count = kFrames;
  auto opened = Machine::open(profile);
  ASSERT_TRUE(opened.has_value());
  const auto m = std::make_unique<Machine>(std::move(*opened));

  std::vector<Trial> alphabet;
  for (const std::uint64_t pfn : kPfns) {
    for (auto&& letters : {host_alphabet(pfn), guest_alphabet(pfn)})
      alphabet.insert(alphabet.end(), letters.begin(), letters.end());
  }
  std::set<std::string> seen{key_of(spec::RmpState(PageCount{kFrames}))};
  std::vector<Found> level{{.path = {}, .state = spec::RmpState(PageCount{kFrames})}};
  std::set<std::string_view> rows;
  std::uint64_t compared = 0;
  for (unsigned depth = 0; depth < kDepth && !level.empty(); ++depth) {
    std::vector<Found> next;
    for (const Found& found : level) {
      m->journal.roll_back(0);
      for (const std::size_t letter : found.path) (void)execute(*m, alphabet[letter]);
      compare_accesses(found.state, m->rmp, compared);
      compare_in_use(found.state, *m, alphabet, rows);
      if (HasFatalFailure()) return;
      const auto here = m->journal.mark();
      for (std::size_t letter = 0; letter < alphabet.size(); ++letter) {
        const Trial& t = alphabet[letter];
        spec::Answer want = restate(found.state, t);
        const spec::Result got = execute(*m, t);
        rows.insert(want.row);
        ASSERT_EQ(want.result, got)
            << want.row << " in state " << key_of(found.state) << ", kind "
            << static_cast<int>(t.kind) << " pfn " << t.pfn << " gpa " << t.record.gpa;
        ASSERT_EQ(first_difference(want.state, m->rmp, t), kFrames)
            << want.row << " in state " << key_of(found.state);
        ++compared;
        m->journal.roll_back(here);
        if (!seen.insert(key_of(want.state)).second) continue;
        std::vector<std::size_t> path = found.path;
        path.push_back(letter);
        next.push_back({.path = std::move(path), .state = std::move(want.state)});
      }
    }
    level = std::move(next);
  }
  EXPECT_GT(seen.size(), 500u);
  RecordProperty("states", static_cast<int>(seen.size()));
  RecordProperty("comparisons", static_cast<int>(compared));
  std::printf("%zu states, %llu comparisons, %zu rows decided\n", seen.size(),
              static_cast<unsigned long long>(compared), rows.size());
}

}  // namespace
}  // namespace sluice::model
