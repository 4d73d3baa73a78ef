#include "oracle/docs.h"

#include <gtest/gtest.h>

#include "testing/documents.h"

namespace sluice::oracle {
namespace {

TEST(Documents, ChecksAreCurrent) {
  sluice::testing::expect_document(SLUICE_SOURCE_DIR "/docs/checks.md", checks_document());
}
TEST(Documents, InvariantsAreCurrent) {
  sluice::testing::expect_document(SLUICE_SOURCE_DIR "/docs/invariants.md", invariants_document());
}

}  // namespace
}  // namespace sluice::oracle
