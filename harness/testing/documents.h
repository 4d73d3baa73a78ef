// Generated documents: a test holds the file in docs/ against what the code says now.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "ops/files.h"

namespace sluice::testing {

/// The file has this text. With SLUICE_UPDATE_DOCS in the environment it is written first.
inline void expect_document(const std::string& path, const std::string& generated) {
  if (std::getenv("SLUICE_UPDATE_DOCS") != nullptr) {
    const auto written = write_file(path, generated);
    ASSERT_TRUE(written) << written.error().message();
  }
  const auto kept = read_file(path, std::size_t{1} << 20);
  ASSERT_TRUE(kept) << kept.error().message();
  EXPECT_TRUE(*kept == generated)
      << path << " is out of date: run this test with SLUICE_UPDATE_DOCS=1 and commit the file";
}

}  // namespace sluice::testing
