// Invariants W1 and W2: everything that starts comes to an end (invariants.md L; kvm.md 10).
#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle::check {

Result no_deadlock(const View& view) {
  const ProgressView progress = view.progress();
  return progress.deadlock ? Violation{.subject = progress.in_flight} : Result{};
}

Result no_livelock(const View& view) {
  const ProgressView progress = view.progress();
  return progress.livelock ? Violation{.subject = progress.in_flight} : Result{};
}

}  // namespace sluice::oracle::check
