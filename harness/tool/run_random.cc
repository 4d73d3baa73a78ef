// sluice run --random: sequences from a seed on the model, or on the real kernel in lockstep with
// the model. What goes wrong is replayed on a new backend, minimized, and written down once per
// kind.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "ops/text.h"
#include "run/random_source.h"
#include "run/reduce.h"
#include "tool/command.h"
#include "tool/progress.h"
#include "tool/run_session.h"

namespace sluice::tool {
namespace {

/// Kinds of findings after which more are not looked for.
constexpr std::size_t kEnough = 10;
/// A backend on the kernel is given up after so many sequences: what a finding may need of those
/// before it is never more.
constexpr std::size_t kRenewAfter = 1024;
/// One sequence in so many runs on the model twice (target F5).
constexpr std::uint64_t kTwiceOneIn = 64;

/// FOLDER/running holds the number of the sequence that runs, so that a machine that dies leaves
/// behind what it died of. Without a folder it does nothing.
class RunningMark {
 public:
  explicit RunningMark(const std::string& folder, std::uint64_t seed) : seed_(seed) {
    if (folder.empty()) return;
    path_ = folder + "/running";
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  }
  ~RunningMark() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  RunningMark(const RunningMark&) = delete;
  RunningMark& operator=(const RunningMark&) = delete;
  void set(std::uint64_t number) {
    if (fd_ < 0) return;
    const std::string text = fmt::format("--seed {} --first {:<20} --random 1\n", seed_, number);
    // What cannot be written is missed only if the machine dies.
    static_cast<void>(::pwrite(fd_, text.data(), text.size(), 0));
  }

 private:
  std::uint64_t seed_;
  std::string path_{};
  int fd_ = -1;
};

class RandomRun {
 public:
  RandomRun(Session& session, const RunCommand& command, Progress& progress)
      : session_(session), command_(command), progress_(progress) {
    session_.random = RandomReport{.seed = command.seed, .first = command.first};
  }

  /// One sequence on each backend. Errors: the environment's, which end the run.
  Expected<void> run(const Sequence& sequence, std::uint64_t number) {
    ++session_.random->sequences;
    const std::size_t kernel = modeled_kernel_index(sequence.header.kernel);
    if (kernel < kModeledKernels.size())
      ++session_.random->of_kernel[kernel][sequence.header.scope == Scope::kMachine ? 1 : 0];
    answers_.clear();
    const run::RunOptions how{
        .file = fmt::format("random(seed={}, number={})", command_.seed, number),
        .audit_every_step = command_.audit,
        .answers = &answers_};
    if (session_.model) {
      const run::Verdict verdict = run_on_model(session_, sequence, how);
      if (auto taken = take(verdict, sequence, number); !taken) return taken;
      const bool twice = number % kTwiceOneIn == 0 && !verdict.bad();
      if (auto steady = twice ? run_again(sequence, how.file) : Expected<void>{}; !steady)
        return steady;
    }
    if (!session_.kvm) return {};
    const run::Verdict verdict = run_on_kernel(session_, sequence, how);
    if (auto taken = take(verdict, sequence, number); !taken) return taken;
    history_.push_back(sequence);
    const bool renew = history_.size() == kRenewAfter || verdict.finding.has_value();
    return renew ? renew_kernel() : Expected<void>{};
  }
  /// What the model answered to the last sequence.
  std::span<const Outcome> answers() const { return answers_; }
  bool has_enough() const { return session_.random->found.size() >= kEnough; }

 private:
  /// On the model, on which it has just run: it is to end in the same state.
  Expected<void> run_again(const Sequence& sequence, const std::string& name) {
    const std::uint64_t first = session_.model->state_hash();
    static_cast<void>(run_on_model(session_, sequence, {.file = name}));
    if (session_.model->state_hash() != first)
      return input_error(name + " ended in two states on the model: report this as a mistake in " +
                         "Sluice, with the seed and the number");
    ++session_.random->ran_twice;
    return {};
  }

  Expected<void> take(const run::Verdict& verdict, const Sequence& sequence, std::uint64_t number) {
    count(session_, verdict, sequence);
    if (!verdict.bad()) return {};
    if (verdict.kind == run::VerdictKind::kError) return input_error(verdict.reason);
    const std::string key = run::key_of(verdict, sequence);
    for (RandomFound& known : session_.random->found) {
      if (known.key != key || known.backend != verdict.backend) continue;
      ++known.times;
      return {};
    }
    return take_new(verdict, sequence, number);
  }

  Expected<void> take_new(const run::Verdict& verdict, const Sequence& sequence,
                          std::uint64_t number) {
    const bool on_kernel = verdict.backend == run::BackendTraits<kvm::KvmBackend>::kName;
    const auto reduced =
        on_kernel
            ? run::reduce_on_kernel(opener(), sequence, history_, verdict, {})
            : Expected<run::Reduced>(run::reduce_on_model(*session_.model, sequence, verdict, {}));
    if (!reduced) return std::unexpected(reduced.error());
    RandomFound found{.key = run::key_of(verdict, sequence),
                      .backend = verdict.backend,
                      .replay = std::string(run::name_of(reduced->replay)),
                      .number = number,
                      .times = 1,
                      .operations = reduced->sequence.steps.size(),
                      .operations_before = sequence.steps.size()};
    if (!command_.out.empty()) {
      const auto path = run::write_reduced(
          *reduced, command_.out, fmt::format("{}-{}-{}", verdict.backend, command_.seed, number),
          fmt::format("sluice run --random, seed {}, number {}; replays {}", command_.seed, number,
                      found.replay));
      if (!path) return std::unexpected(path.error());
      found.file = *path;
    }
    show(*reduced, found);
    session_.random->found.push_back(std::move(found));
    return {};
  }

  void show(const run::Reduced& reduced, const RandomFound& found) {
    progress_.clear();
    run::Verdict verdict = reduced.verdict;
    verdict.skips.clear();
    if (!found.file.empty()) verdict.file = found.file;
    if (!command_.json) {
      fmt::print("{}", run::format_verdict(verdict));
      fmt::print("replays {}; {} of {} operations{}:\n{}", found.replay, found.operations,
                 found.operations_before,
                 reduced.history.empty()
                     ? std::string()
                     : fmt::format(", behind {} sequences", reduced.history.size()),
                 format_text(reduced.sequence));
      std::fflush(stdout);
    }
    session_.verdicts.push_back(std::move(verdict));
  }

  run::KernelOpener opener() const {
    return [known = session_.kvm->probed()](bool reuse_vms) {
      return kvm::KvmBackend::open({.reuse_vms = reuse_vms, .known = known});
    };
  }
  Expected<void> renew_kernel() {
    auto kvm = opener()(true);
    if (!kvm) return std::unexpected(kvm.error());
    session_.kvm = std::move(*kvm);
    history_.clear();
    return {};
  }

  Session& session_;
  const RunCommand& command_;
  Progress& progress_;
  std::vector<Outcome> answers_{};
  std::vector<Sequence> history_{};  // all that ran on the kernel's backend since it was opened
};

}  // namespace

int run_random(Session& session, const RunCommand& command,
               const std::optional<PolicySet>& policy) {
  const auto profile =
      session.kvm ? Expected<HostProfile>(session.kvm->profile()) : profile_for(command);
  if (!profile) return complain(profile.error());
  const Repertoire able = session.kvm ? run::kernel_repertoire(*profile) : Repertoire{};
  auto source =
      run::RandomSource::open(*profile, able, command.seed, command.length,
                              command.races ? run::RandomFocus::kRaces : run::RandomFocus::kNone);
  if (!source) return complain(source.error());
  if (const auto made = make_out_folder(command.out); !made) return complain(made.error());
  RunningMark mark(command.out, command.seed);
  Progress progress(command.random, "sequences");
  RandomRun random(session, command, progress);
  for (std::uint64_t i = 0; i < command.first; ++i) static_cast<void>(source->next());
  // Here the model under test is the one that the source would ask.
  const bool shared = !session.kvm && !policy;
  for (std::uint64_t i = 0; i < command.random && !random.has_enough(); ++i) {
    Sequence sequence = shared ? source->propose() : source->next();
    if (policy) sequence.header.policy = *policy;
    mark.set(command.first + i);
    if (const auto ran = random.run(sequence, command.first + i); !ran) {
      progress.clear();
      return complain(ran.error());
    }
    if (shared) source->learn(random.answers());
    progress.step(i + 1);
  }
  progress.clear();
  session.random->answers = source->answers();
  session.random->seconds = progress.seconds();
  if (random.has_enough())
    fmt::print(stderr, "sluice: {} kinds of findings are enough: stopped after {} sequences\n",
               kEnough, session.random->sequences);
  return report(session, command);
}

}  // namespace sluice::tool
