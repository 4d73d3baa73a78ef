// The whole loop of `sluice run --random` over the model's side of the seam: a seam that answers
// wrong is found by random sequences, replayed, minimized and written down. No kernel is needed.
#include "run/reduce.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "kvm/faulty_syscalls.h"
#include "kvm/uapi.h"
#include "ops/files.h"
#include "ops/text.h"
#include "run/kvm_run.h"
#include "run/model_syscalls.h"
#include "run/random_source.h"

namespace sluice::run {
namespace {

HostProfile kernel_profile() {
  HostProfile profile = default_profile(kDefaultKernel);
  profile.snp = false;
  profile.vm_types = 0b11;
  return profile;
}

/// Answers one errno of one request with another, always.
class WrongErrno final : public kvm::ForwardingSyscalls {
 public:
  struct Rule {
    unsigned long request = 0;
    int from = 0, to = 0;
    unsigned after_vms = 0;  // only once so many VMs were created on this seam
  };
  WrongErrno(std::unique_ptr<ModelSyscalls> target, const Rule& rule)
      : ForwardingSyscalls(*target), target_(std::move(target)), rule_(rule) {}

  kvm::SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override {
    vms_ += request == KVM_CREATE_VM ? 1u : 0u;
    const kvm::SysResult right = ForwardingSyscalls::ioctl(fd, request, argument);
    if (request != rule_.request || right.error != rule_.from || vms_ < rule_.after_vms) {
      return right;
    }
    return rule_.to == 0 ? kvm::SysResult::of(0) : kvm::SysResult::failed(rule_.to);
  }

 private:
  std::unique_ptr<ModelSyscalls> target_;
  Rule rule_;
  unsigned vms_ = 0;
};

/// Backends over seams of their own; those outlive them.
class Spoiled {
 public:
  explicit Spoiled(const WrongErrno::Rule& rule) : rule_(rule) {
    auto kvm = opener()(false);
    EXPECT_TRUE(kvm) << kvm.error().message();
    if (kvm) known_ = (*kvm)->probed();
  }
  KernelOpener opener() {
    return [this](bool) -> Expected<std::unique_ptr<kvm::KvmBackend>> {
      auto adapter = ModelSyscalls::open(kernel_profile());
      if (!adapter) return std::unexpected(adapter.error());
      seams_.push_back(std::make_unique<WrongErrno>(*std::move(adapter), rule_));
      // The model has no more VMs than a sequence may use: none is kept.
      return kvm::KvmBackend::open(
          {.sys = seams_.back().get(), .reuse_vms = false, .known = known_});
    };
  }

 private:
  WrongErrno::Rule rule_;
  std::optional<kvm::ProbeResult> known_{};
  std::vector<std::unique_ptr<WrongErrno>> seams_{};
};

struct Found {
  Sequence sequence{};
  Verdict verdict{};
  std::vector<Sequence> history{};
};

/// The first bad verdict among random sequences.
std::optional<Found> find_by_chance(const KernelOpener& opener, std::uint64_t seed,
                                    std::size_t count) {
  auto kvm = opener(true);
  auto source = RandomSource::open(kernel_profile(), kernel_repertoire(kernel_profile()), seed);
  if (!kvm || !source) return std::nullopt;
  auto twin = model::ModelBackend::open((*kvm)->profile());
  if (!twin) return std::nullopt;
  oracle::Differential differential;
  Found found;
  for (std::size_t i = 0; i < count; ++i) {
    const Sequence& sequence = source->next();
    found.verdict = run_differential(**kvm, *twin, sequence, differential, {});
    if (found.verdict.bad()) {
      found.sequence = sequence;
      return found;
    }
    found.history.push_back(sequence);
  }
  return std::nullopt;
}

struct Case {
  WrongErrno::Rule rule;
  std::string_view key;         // of what is found begins so
  std::size_t most_operations;  // of the minimized sequence
};
constexpr Case kCases[] = {
    {{kvm::uapi::kSetUserMemoryRegion2, EEXIST, EBUSY, 0},
     "difference set_memory_region status: EEXIST [",
     3},
    {{kvm::uapi::kPreFaultMemory, ENOENT, EFAULT, 0},
     "difference pre_fault_memory status: ENOENT [pre_fault_memory.no_slot] / EFAULT",
     3},
    {{kvm::uapi::kSetMemoryAttributes, EINVAL, 0, 0},
     "difference set_memory_attributes status: EINVAL [",
     2},
};

TEST(Reduce, AWrongErrnoIsFoundAndMinimized) {
  for (const Case& wrong : kCases) {
    Spoiled spoiled(wrong.rule);
    const KernelOpener opener = spoiled.opener();
    for (const std::uint64_t seed : {1u, 4u}) {
      const auto found = find_by_chance(opener, seed, 1600);
      ASSERT_TRUE(found.has_value()) << wrong.key << ", seed " << seed;
      EXPECT_TRUE(key_of(found->verdict, found->sequence).starts_with(wrong.key))
          << key_of(found->verdict, found->sequence);
      const auto reduced =
          reduce_on_kernel(opener, found->sequence, found->history, found->verdict, {});
      ASSERT_TRUE(reduced.has_value()) << reduced.error().message();
      EXPECT_EQ(reduced->replay, Replay::kAlone) << wrong.key;
      EXPECT_TRUE(reduced->is_minimal);
      EXPECT_LE(reduced->sequence.steps.size(), wrong.most_operations)
          << format_text(reduced->sequence);
      EXPECT_EQ(key_of(reduced->verdict, reduced->sequence),
                key_of(found->verdict, found->sequence));
    }
  }
}

TEST(Reduce, WhatNeedsItsHistoryKeepsIt) {
  constexpr unsigned kVms = 4;
  Spoiled spoiled({kvm::uapi::kPreFaultMemory, ENOENT, EFAULT, kVms});
  const KernelOpener opener = spoiled.opener();
  const auto one = parse_text("create_vm\n", "one.ops");
  const auto last = parse_text("create_vm\ncreate_vcpu\npre_fault_memory gpa=0x1000\n", "last.ops");
  ASSERT_TRUE(one && last);
  const std::vector<Sequence> history(9, *one);

  auto kvm = opener(true);
  ASSERT_TRUE(kvm);
  auto twin = model::ModelBackend::open((*kvm)->profile());
  ASSERT_TRUE(twin);
  oracle::Differential differential;
  for (const Sequence& before : history) {
    ASSERT_FALSE(run_differential(**kvm, *twin, before, differential, {}).bad());
  }
  const Verdict first = run_differential(**kvm, *twin, *last, differential, {});
  ASSERT_TRUE(first.bad());
  const auto reduced = reduce_on_kernel(opener, *last, history, first, {});
  ASSERT_TRUE(reduced.has_value()) << reduced.error().message();
  EXPECT_EQ(reduced->replay, Replay::kWithHistory);
  EXPECT_EQ(reduced->history.size(), kVms - 1) << "one VM is the sequence's own";
  EXPECT_TRUE(reduced->is_minimal);

  const std::string folder = ::testing::TempDir() + "sluice_reduce_history";
  std::filesystem::remove_all(folder);
  const auto path = write_reduced(*reduced, folder, "kvm-1-9", "a test");
  ASSERT_TRUE(path.has_value()) << path.error().message();
  const std::vector<std::string> folders{*path};
  const auto files = find_sequences(folders);
  ASSERT_TRUE(files.has_value()) << files.error().message();
  ASSERT_EQ(files->size(), std::size_t{kVms});
  // Read back and replayed in the order of their names, on one backend, they show it again.
  auto again = opener(true);
  ASSERT_TRUE(again);
  Verdict verdict{};
  for (const std::string& file : *files) {
    const auto sequence = read_sequence(file);
    ASSERT_TRUE(sequence.has_value()) << sequence.error().message();
    verdict = run_differential(**again, *twin, *sequence, differential, {.file = file});
  }
  EXPECT_EQ(key_of(verdict, reduced->sequence), key_of(first, *last));
  std::filesystem::remove_all(folder);
}

TEST(Reduce, WhatDoesNotComeAgainIsSaid) {
  // Right answers everywhere: nothing is like what is claimed.
  Spoiled right({.from = -1});
  const auto sequence = parse_text("create_vm\ncreate_vm vm=1 type=tdx\n", "x.ops");
  ASSERT_TRUE(sequence);
  Verdict claimed{.kind = VerdictKind::kDifference};
  claimed.differences.push_back({.step = 1, .key = "create_vm status: EINVAL / ok"});
  const std::vector<Sequence> history(3, *sequence);
  const auto reduced = reduce_on_kernel(right.opener(), *sequence, history, claimed, {});
  ASSERT_TRUE(reduced.has_value()) << reduced.error().message();
  EXPECT_EQ(reduced->replay, Replay::kNever);
  EXPECT_EQ(format_text(reduced->sequence), format_text(*sequence));
  EXPECT_TRUE(reduced->history.empty());
}

TEST(Reduce, AMinimizedFileSaysWhatTheModelAnswers) {
  Spoiled spoiled(kCases[0].rule);
  const auto found = find_by_chance(spoiled.opener(), 1, 400);
  ASSERT_TRUE(found.has_value());
  const auto reduced = reduce_on_kernel(spoiled.opener(), found->sequence, {}, found->verdict, {});
  ASSERT_TRUE(reduced.has_value());
  const std::string folder = ::testing::TempDir() + "sluice_reduce_alone";
  std::filesystem::remove_all(folder);
  const auto path = write_reduced(*reduced, folder, "kvm-1-0", "a test");
  ASSERT_TRUE(path.has_value()) << path.error().message();
  const auto read = read_sequence(*path);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->notes.title, key_of(found->verdict, found->sequence));
  // The model meets what the file expects; the spoiled kernel does not.
  auto model = model::ModelBackend::open(kernel_profile());
  ASSERT_TRUE(model);
  EXPECT_EQ(run_sequence(*model, *read, {}).kind, VerdictKind::kPass);
  EXPECT_GT(run_sequence(*model, *read, {}).counts.compared, 0u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::run
