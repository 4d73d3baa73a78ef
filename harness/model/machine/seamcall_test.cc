// The TDX module's calls: what each needs, what it changes, and that undoing brings all of it back.
#include "model/machine/seamcall.h"

#include <gtest/gtest.h>

#include "trace/host_profile.h"

namespace sluice::model {
namespace {

constexpr VmIndex kTd{1};
constexpr VcpuIndex kVcpu{2};
constexpr Gfn kGfn{0x1234};
constexpr Pfn kPfn{0x300};
constexpr Pfn kSource{0x301};
using S = SeamStatus;

Machine open_machine() {
  auto machine = Machine::open(default_profile({.major = 6, .minor = 18}));
  EXPECT_TRUE(machine.has_value());
  Machine out = *std::move(machine);
  out.sept.create(out.journal, kTd, false);
  return out;
}
SeptState state(const Machine& m, Gfn gfn = kGfn) { return m.sept.entry(kTd, gfn).state(); }

TEST(Seamcall, APageIsAddedOnceBeforeTheTdIsFinalized) {
  Machine m = open_machine();
  m.frames.set_content(m.journal, kSource, 0x77);
  EXPECT_EQ(tdh_mr_extend(m, kTd, kGfn), S::kEntryState);
  EXPECT_EQ(tdh_mem_page_aug(m, kTd, kGfn, kPfn), S::kOpState);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn, kPfn, kSource), S::kSuccess);
  EXPECT_EQ(state(m), SeptState::kMapped);
  EXPECT_EQ(decrypt(m.frames.content(kPfn), m.sept.key(kTd), kPfn), 0x77U);
  EXPECT_NE(m.frames.content(kPfn), 0x77U);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn, kSource, kPfn), S::kEntryState);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn + PageCount{1}, kPfn, kSource), S::kPageMetadata);
  EXPECT_EQ(tdh_mr_extend(m, kTd, kGfn), S::kSuccess);
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kSuccess);
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kOpState);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn + PageCount{1}, kSource, kPfn), S::kOpState);
  EXPECT_EQ(m.sept.td(kTd).pages_added, 1U);
  EXPECT_EQ(m.sept.td(kTd).pages_measured, 1U);
}

TEST(Seamcall, APageIsRemovedOnlyBlockedAndTracked) {
  Machine m = open_machine();
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kSuccess);
  tdh_vp_enter(m, kTd, kVcpu);
  EXPECT_EQ(tdh_mem_page_aug(m, kTd, kGfn, kPfn), S::kSuccess);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, kGfn, PageSize::k4K), AcceptStatus::kAccepted);
  EXPECT_EQ(tdh_mem_page_remove(m, kTd, kGfn), S::kEntryState);
  EXPECT_EQ(tdh_mem_range_block(m, kTd, kGfn), S::kSuccess);
  EXPECT_EQ(tdh_mem_range_block(m, kTd, kGfn), S::kEntryState);
  EXPECT_EQ(tdh_mem_page_remove(m, kTd, kGfn), S::kNotTracked);
  EXPECT_EQ(tdh_mem_track(m, kTd), S::kSuccess);
  EXPECT_EQ(tdh_mem_page_remove(m, kTd, kGfn), S::kNotTracked);  // the vCPU is inside still
  tdh_vp_enter(m, kTd, kVcpu);
  EXPECT_EQ(tdh_mem_page_remove(m, kTd, kGfn), S::kSuccess);
  EXPECT_EQ(state(m), SeptState::kFree);
  EXPECT_FALSE(m.sept.owner(kPfn).owned);
  EXPECT_EQ(tdh_mem_page_aug(m, kTd, kGfn, kPfn), S::kSuccess);
}

TEST(Seamcall, EnteringAfterATrackForgetsPrivateTranslationsOnly) {
  Machine m = open_machine();
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kSuccess);
  tdh_vp_enter(m, kTd, kVcpu);
  m.tlbs.fill_guest(m.journal, kVcpu, {.page = 1, .pfn = kPfn, .encrypted = true});
  m.tlbs.fill_guest(m.journal, kVcpu, {.page = 2, .pfn = kSource});
  tdh_vp_enter(m, kTd, kVcpu);
  EXPECT_TRUE(m.tlbs.guests[kVcpu.value].find(1, true).has_value());
  EXPECT_EQ(tdh_mem_track(m, kTd), S::kSuccess);
  tdh_vp_enter(m, kTd, kVcpu);
  EXPECT_FALSE(m.tlbs.guests[kVcpu.value].find(1, true).has_value());
  EXPECT_TRUE(m.tlbs.guests[kVcpu.value].find(2).has_value());
}

TEST(Seamcall, OthersInTheWayMakeCallsBusyAfterAWhile) {
  Machine m = open_machine();
  m.sept.contend(m.journal, {.left = 1, .wait = 1});
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn, kPfn, kSource), S::kSuccess);
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kOperandBusy);
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kSuccess);
}

TEST(Tdcall, AcceptSaysWhatTheEntryIs) {
  Machine m = open_machine();
  EXPECT_EQ(tdh_mr_finalize(m, kTd), S::kSuccess);
  const Gfn block = kGfn.align_down(kFramesPer2M);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, kGfn, PageSize::k4K), AcceptStatus::kViolation);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, kGfn, PageSize::k2M), AcceptStatus::kOperand);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, block, PageSize::k2M), AcceptStatus::kViolation);
  EXPECT_EQ(tdh_mem_page_aug(m, kTd, kGfn, kPfn), S::kSuccess);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, block, PageSize::k2M), AcceptStatus::kSizeMismatch);
  EXPECT_EQ(tdh_mem_range_block(m, kTd, kGfn), S::kSuccess);
  EXPECT_EQ(state(m), SeptState::kPendingBlocked);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, kGfn, PageSize::k4K), AcceptStatus::kViolation);
  EXPECT_EQ(tdg_mem_page_accept(m, kTd, {kTdSharedGfn}, PageSize::k4K), AcceptStatus::kOperand);
}

TEST(SecureEpt, UndoneAndDestroyedItIsEmptyAndAnotherTdHasAnotherKey) {
  Machine m = open_machine();
  const auto mark = m.journal.mark();
  const MemoryKey key = m.sept.key(kTd);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn, kPfn, kSource), S::kSuccess);
  EXPECT_EQ(m.sept.next(kTd, {0}, {kTdSharedGfn}), kGfn);
  m.sept.destroy(m.journal, kTd);
  EXPECT_EQ(m.sept.next(kTd, {0}, {kTdSharedGfn}), Gfn{kTdSharedGfn});
  EXPECT_FALSE(m.sept.owner(kPfn).owned);
  m.sept.create(m.journal, kTd, true);
  EXPECT_NE(m.sept.key(kTd).value, key.value);
  EXPECT_FALSE(m.sept.has_table(kTd, kGfn));
  m.journal.roll_back(mark);
  EXPECT_EQ(m.sept.key(kTd).value, key.value);
  EXPECT_EQ(state(m), SeptState::kFree);
  EXPECT_EQ(tdh_mem_page_add(m, kTd, kGfn, kPfn, kSource), S::kSuccess);
}

}  // namespace
}  // namespace sluice::model
