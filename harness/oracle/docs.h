// Generated documents: docs/checks.md from trace/check_list.h and docs/invariants.md from the
// invariant list. A test compares them with the files; SLUICE_UPDATE_DOCS=1 writes them.
#pragma once
#include <string>

namespace sluice::oracle {

/// Every reason an operation may be refused or skipped, in the order of the list.
std::string checks_document();
/// Every invariant with its strength, scope, needs and source.
std::string invariants_document();

}  // namespace sluice::oracle
