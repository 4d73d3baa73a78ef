// Invariant X8: what a guest accepted in order, it can use (invariants.md H; snp_host.md 10).
#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle::check {

Result accepted_page_takes_no_vc(const View& view) {
  const auto* const op = finished<GuestAccess>(view);
  const bool took_vc = view.outcome().check == Check::kGuestNotValidated;
  // Who else is inside an operation may have rescinded the page just now.
  const bool shared_step = is_one_of<Resume>(view.step().op) && !view.ran_alone();
  if (op == nullptr || !took_vc || !is_quiescent(view) || shared_step) return std::nullopt;
  return Violation{.subject = op->gfn.value};
}

}  // namespace sluice::oracle::check
