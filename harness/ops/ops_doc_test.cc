#include "ops/ops_doc.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "ops/files.h"
#include "ops/op_list.h"

namespace sluice {
namespace {

TEST(OpsDoc, MatchesTheRegistry) {
  const std::string path = std::string(SLUICE_SOURCE_DIR) + "/docs/ops.md";
  if (std::getenv("SLUICE_UPDATE_DOCS") != nullptr) {
    const auto written = write_file(path, ops_document());
    ASSERT_TRUE(written) << written.error().message();
  }
  const auto kept = read_file(path, std::size_t{1} << 20);
  ASSERT_TRUE(kept) << kept.error().message();
  EXPECT_TRUE(*kept == ops_document())
      << path << " is out of date: run this test with SLUICE_UPDATE_DOCS=1 and commit the file";
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
