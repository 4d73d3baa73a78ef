#include "oracle/docs.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "ops/files.h"

namespace sluice::oracle {
namespace {

void expect_current(const char* name, const std::string& document) {
  const std::string path = std::string(SLUICE_SOURCE_DIR) + "/docs/" + name;
  if (std::getenv("SLUICE_UPDATE_DOCS") != nullptr) {
    const auto written = write_file(path, document);
    ASSERT_TRUE(written) << written.error().message();
  }
  const auto kept = read_file(path, std::size_t{1} << 20);
  ASSERT_TRUE(kept) << kept.error().message();
  EXPECT_TRUE(*kept == document)
      << path << " is out of date: run this test with SLUICE_UPDATE_DOCS=1 and commit the file";
}

TEST(Documents, ChecksAreCurrent) { expect_current("checks.md", checks_document()); }
TEST(Documents, InvariantsAreCurrent) { expect_current("invariants.md", invariants_document()); }

}  // namespace
}  // namespace sluice::oracle
