// Views of page state changes, for tests of what is said about them.
#pragma once
#include <array>

#include "testing/fake_view.h"

namespace sluice::testing {

/// The vCPU's last request converted frame 1 to shared and passed over frame 2, which was done
/// before.
inline void changed_pages(FakeView& view) {
  static constexpr std::array<std::uint64_t, 2> kAsked{
      psc_entry(PscOperation::kShared, {1}).value,
      psc_entry(PscOperation::kShared, {2}, false, 1).value};
  static constexpr std::array<std::uint64_t, 2> kDone{PscEntry{kAsked[0]}.with_cur_page(1).value,
                                                      kAsked[1]};
  static constexpr std::array<PscExit, 1> kExits{{{.first = {1}, .count = 1, .granted = true}}};
  view.step_value = {.actor = default_actor(Psc{}), .op = Psc{}};
  view.ran_value = std::uint64_t{1} << Op{Psc{}}.index();
  view.pscs[0] = {.started = true,
                  .touched = 2,
                  .header_at_start = psc_header({0}, {1}),
                  .header_before = psc_header({0}, {1}),
                  .header = psc_header({2}, {1}),
                  .entries_at_start = kAsked,
                  .entries = kDone,
                  .exits = kExits};
}

}  // namespace sluice::testing
