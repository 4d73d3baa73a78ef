#include "ops/ops_doc.h"

#include <gtest/gtest.h>

#include <string>

#include "ops/op_list.h"
#include "testing/documents.h"

namespace sluice {
namespace {

TEST(OpsDoc, MatchesTheRegistry) {
  testing::expect_document(SLUICE_SOURCE_DIR "/docs/ops.md", ops_document());
}

TEST(OpsDoc, NamesEveryOperation) {
  const std::string document = ops_document();
  for (const OpInfo& info : kOpInfo) {
    EXPECT_NE(document.find("### " + std::string(info.name) + "\n"), std::string::npos)
        << info.name;
  }
}

}  // namespace
}  // namespace sluice
