#include "ops/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ops/text.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A directory of this test's own, removed at its end.
class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "sluice_files_test_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/sub");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string root_;
};

TEST_F(Files, FindsSequencesBelowADirectoryInOrder) {
  for (const char* name : {"/b.ops", "/sub/c.ops", "/a.ops", "/readme.txt"}) {
    ASSERT_TRUE(write_file(root_ + name, "create_vm\n"));
  }
  const std::vector<std::string> paths{root_, root_ + "/readme.txt"};
  const auto found = find_sequences(paths);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(*found, ElementsAre(root_ + "/a.ops", root_ + "/b.ops", root_ + "/sub/c.ops",
                                  root_ + "/readme.txt"));
}

TEST_F(Files, SaysWhatIsWrongWithAPath) {
  const std::vector<std::string> empty{root_};
  EXPECT_THAT(find_sequences(empty).error().message(), HasSubstr("no .ops file"));
  const std::vector<std::string> missing{root_ + "/missing"};
  EXPECT_THAT(find_sequences(missing).error().message(), HasSubstr("No such file"));
  EXPECT_THAT(read_sequence(root_).error().message(), HasSubstr("is a directory"));
  EXPECT_THAT(read_sequence(root_ + "/missing.ops").error().message(), HasSubstr("No such file"));
  ASSERT_TRUE(write_file(root_ + "/huge.ops", std::string(kMaxTextBytes + 1, ' ')));
  EXPECT_THAT(read_sequence(root_ + "/huge.ops").error().message(), HasSubstr("more than"));
  ASSERT_TRUE(write_file(root_ + "/bad.ops", "creat_vm\n"));
  EXPECT_THAT(read_sequence(root_ + "/bad.ops").error().message(),
              HasSubstr("bad.ops:1:1: unknown operation"));
  EXPECT_FALSE(write_file(root_ + "/no/such/folder.ops", ""));
  EXPECT_THAT(write_file(root_ + "/sub", "").error().message(), HasSubstr("is a directory"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/sub.new"));
}

TEST_F(Files, ReadsWhatItWrote) {
  ASSERT_TRUE(write_file(root_ + "/one.ops", "create_vm type=snp\n"));
  const auto sequence = read_sequence(root_ + "/one.ops");
  ASSERT_TRUE(sequence);
  EXPECT_EQ(format_text(*sequence), "create_vm type=snp\n");
}

}  // namespace
}  // namespace sluice
