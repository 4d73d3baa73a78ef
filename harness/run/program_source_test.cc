#include "run/program_source.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/text.h"

namespace sluice::run {
namespace {

constexpr std::uint64_t kPrograms = 300;

Sequence parsed(std::string_view text) { return parse_text(text, "corpus").value(); }

ProgramSource open(std::vector<Sequence> corpus, std::uint64_t seed) {
  return ProgramSource::open(std::move(corpus), seed).value();
}
std::string text_of(const Program& program) {
  Sequence whole = program.setup;
  whole.steps.insert(whole.steps.end(), program.steps.begin(), program.steps.end());
  return format_text(whole);
}
bool stops(const Step& step) { return step.park != 0 || std::holds_alternative<Resume>(step.op); }

TEST(ProgramSource, EveryProgramCanBeExplored) {
  ProgramSource source = open({parsed("create_vm park=1\nresume vmm0\n@vmm1 create_guest_memfd\n"
                                      "create_vcpu\n@vcpu0 guest_access\ngmem_allocate\n")},
                              1);
  for (std::uint64_t i = 0; i < kPrograms; ++i) {
    const Program& program = source.next();
    ASSERT_GE(program.steps.size(), 2u);
    ASSERT_LE(program.steps.size() + program.setup.steps.size(), kMaxOps);
    EXPECT_FALSE(std::ranges::any_of(program.steps, stops)) << text_of(program);
    EXPECT_FALSE(std::ranges::any_of(program.setup.steps, stops)) << text_of(program);
    const auto same = [&](const Step& step) { return step.actor == program.steps[0].actor; };
    EXPECT_FALSE(std::ranges::all_of(program.steps, same)) << text_of(program);
  }
}

TEST(ProgramSource, SameSeedSamePrograms) {
  const std::vector<Sequence> corpus{parsed("create_vm\ncreate_vcpu\n@vcpu0 guest_access\n")};
  ProgramSource one = open(corpus, 7), two = open(corpus, 7), other = open(corpus, 8);
  bool differs = false;
  for (std::uint64_t i = 0; i < kPrograms; ++i) {
    const std::string text = text_of(one.next());
    ASSERT_EQ(text, text_of(two.next()));
    differs |= text != text_of(other.next());
  }
  EXPECT_TRUE(differs);
}

/// A corpus is what two of three programs come from.
TEST(ProgramSource, TheCorpusIsUsed) {
  ProgramSource source = open({parsed("create_vm type=snp\ncreate_vcpu vcpu=3\n"
                                      "@vcpu3 guest_access\n@vmm1 create_guest_memfd gmem=1\n")},
                              3);
  std::uint64_t from_corpus = 0;
  for (std::uint64_t i = 0; i < kPrograms; ++i)
    from_corpus += text_of(source.next()).find("vcpu3") != std::string::npos ? 1u : 0u;
  EXPECT_GT(from_corpus, kPrograms / 4);
}

}  // namespace
}  // namespace sluice::run
