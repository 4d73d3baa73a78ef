#include "run/explore.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "model/host/kernel.h"
#include "model/schedule/scheduler.h"
#include "ops/text.h"
#include "run/runner.h"

namespace sluice::run {
namespace {

using model::ActorMask;
using model::ActorState;
using Traits = BackendTraits<model::ModelBackend>;

constexpr unsigned kNobody = kMaxActors;
/// The second round of a retry loop may see another reason to retry, the third sees what the second
/// saw.
constexpr unsigned kRoundsAlone = 3;

constexpr ActorMask bit_of(unsigned slot) { return static_cast<ActorMask>(1u << slot); }
constexpr ActorMask without(ActorMask from, ActorMask taken) {
  return static_cast<ActorMask>(from & ~taken);
}

/// One actor's operations, as indices into Program::steps.
struct Thread {
  ActorId id{};
  std::vector<std::size_t> steps{};
  std::size_t begun = 0;
  unsigned rounds = 0;  // of a retry loop, since somebody else had a turn

  bool has_more() const { return begun < steps.size(); }
  /// Where in the file the operation stands that it is in, or would begin.
  std::size_t place(bool inside) const { return steps[inside ? begun - 1 : begun]; }
};

struct Turn {
  unsigned slot = kNobody;
  std::size_t step = 0;  // of the program
  bool begins = false;   // the operation; else it goes on with it
  bool ends = false;     // the operation
  bool joins = false;    // one step with the actor's next turn does the same as two
};

/// A place on the way to the end of the present run where somebody's turn was chosen.
struct Node {
  ActorMask able = 0;      // whose turn it could be, within the bound of preemptions
  ActorMask done = 0;      // whose turn here has been explored
  ActorMask sleep = 0;     // whose turn here would only repeat what has been
  ActorMask harmless = 0;  // of those two and the chosen one: whose turn changes nothing
  unsigned chosen = kNobody;
  unsigned inside = kNobody;  // who had the last turn, is inside an operation and could go on
  unsigned preemptions = 0;   // so far
  double share = 1;           // of all runs, were all subtrees of a node as large

  ActorMask left() const { return without(able, static_cast<ActorMask>(done | sleep)); }
  bool preempts() const { return inside != kNobody && chosen != inside; }
  double share_of_child() const { return share / std::max(std::popcount(without(able, sleep)), 1); }
};

/// What others could notice of a turn.
struct Traces {
  std::size_t written = 0;  // to the state
  std::array<std::uint32_t, kMaxActors> locks{};
  std::array<std::uint16_t, kMaxActors> sections{};
  friend bool operator==(const Traces&, const Traces&) = default;
};

class Explorer {
 public:
  Explorer(model::ModelBackend& model, const Program& program, const ExploreOptions& options)
      : model_(model),
        kernel_(model.kernel()),
        program_(program),
        options_(options),
        sleeps_(options.sleep_sets && !options.preemptions) {
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      Thread& thread = threads_[actor_slot(program.steps[i].actor)];
      thread.id = program.steps[i].actor;
      thread.steps.push_back(i);
    }
  }

  Exploration run() {
    do {
      run_once();
      if (options_.on_run) options_.on_run(result_.runs, result_.share);
    } while (!is_over() && step_back());
    // Nothing is left on the path: every choice has been made.
    result_.complete = path_.empty() && result_.cut == 0;
    if (result_.complete) result_.share = 1;
    for (std::size_t i = 0; i < joined_.size(); ++i) shorten(result_.found[i], joined_[i]);
    model_.reset();
    return std::move(result_);
  }

 private:
  const model::ActorRecord& actor(unsigned slot) const { return kernel_.scheduler.actor(slot); }
  bool is_over() const {
    return result_.runs >= options_.max_runs || (options_.stop_at_finding && result_.has_finding());
  }

  // ---- One run ----

  void run_once() {
    turns_.clear();
    for (Thread& thread : threads_) thread.begun = 0, thread.rounds = 0;
    if (set_up()) return count_run();
    for (std::size_t depth = 0;; ++depth) {
      if (depth == path_.size()) {
        const ActorMask able = who_is_able();
        if (able == 0) break;
        if (depth == kMaxTurns) {
          ++result_.cut;
          return count_run();
        }
        if (!add_node(able)) return;
      }
      if (take_turn(path_[depth])) {
        path_.resize(depth + 1);
        return count_run();
      }
    }
    Traits::end(model_);
    const bool found = take(oracle_.check(model_.view())) || take(oracle_.audit(model_.view()));
    if (!found && !in_one_piece()) result_.end_states.insert(model_.state_hash());
    count_run();
  }

  /// The same schedule again, with the turns of one operation in a row as one step: some invariants
  /// are judged of operations only that ran in one step. True if there is a finding.
  bool in_one_piece() {
    const std::uint64_t end = model_.state_hash();
    const Findings again = replay(schedule(true));
    if (again.finding) return take(again.finding->finding);
    if (again.known_upstream) take(again.known_upstream->finding);
    if (model_.state_hash() != end) ++result_.unlike;
    return false;
  }

  Findings replay(const Sequence& sequence) {
    Traits::start(model_, sequence).value();
    return run_steps(model_, oracle_, sequence, false, [](std::size_t, const Outcome&) {});
  }

  /// True if there is a finding already.
  bool set_up() {
    Traits::start(model_, program_.setup).value();
    oracle_.begin(model_.view());
    return std::ranges::any_of(program_.setup.steps, [this](const Step& step) {
      model_.apply(step);
      return take(oracle_.check(model_.view()));
    });
  }

  ActorMask who_is_able() const {
    ActorMask able = 0;
    for (unsigned slot = 0; slot < kMaxActors; ++slot) {
      const ActorState state = actor(slot).state;
      const bool begins = state == ActorState::kIdle && threads_[slot].has_more();
      // Whom the setup has left inside an operation, no thread has begun.
      const bool goes_on = state == ActorState::kParked && threads_[slot].begun != 0 &&
                           threads_[slot].rounds < kRoundsAlone;
      if (begins || goes_on) able |= bit_of(slot);
    }
    return able;
  }

  /// A choice at the end of the path. False: whatever is chosen only repeats what has been.
  bool add_node(ActorMask able) {
    Node node{.able = able};
    if (!path_.empty()) {
      const Node& before = path_.back();
      node.preemptions = before.preemptions + (before.preempts() ? 1u : 0u);
      node.share = before.share_of_child();
      const bool could_go_on = (able & bit_of(before.chosen)) != 0;
      if (could_go_on && actor(before.chosen).state == ActorState::kParked)
        node.inside = before.chosen;
      // A turn sleeps on where it and the one before may change places.
      if ((before.harmless & bit_of(before.chosen)) != 0)
        node.sleep =
            able & before.harmless & without(before.done | before.sleep, bit_of(before.chosen));
      node.harmless = node.sleep;
    }
    const bool spent = options_.preemptions && node.preemptions >= *options_.preemptions;
    if (spent && node.inside != kNobody) node.able = bit_of(node.inside);
    result_.left_out += static_cast<unsigned>(std::popcount(node.sleep));
    if (node.left() == 0) {
      result_.share += node.share;
      return false;
    }
    choose(node);
    path_.push_back(node);
    return true;
  }

  /// Who is inside an operation goes on, else the first of the file: the first run of all has no
  /// preemption.
  void choose(Node& node) const {
    node.chosen = kNobody;
    if (node.inside != kNobody && (node.left() & bit_of(node.inside)) != 0) {
      node.chosen = node.inside;
      return;
    }
    for (ActorMask left = node.left(); left != 0; left &= static_cast<ActorMask>(left - 1)) {
      const auto slot = static_cast<unsigned>(std::countr_zero(left));
      if (node.chosen == kNobody || place(slot) < place(node.chosen)) node.chosen = slot;
    }
  }
  std::size_t place(unsigned slot) const {
    return threads_[slot].place(actor(slot).state == ActorState::kParked);
  }

  /// True if there is a finding.
  bool take_turn(Node& node) {
    Thread& thread = threads_[node.chosen];
    Turn turn{.slot = node.chosen, .begins = actor(node.chosen).state == ActorState::kIdle};
    if (turn.begins) ++thread.begun;
    turn.step = thread.place(true);
    const Traces before = traces();
    model_.apply(step_of(turn, 1));
    const ActorState now = actor(turn.slot).state;
    turn.ends = now == ActorState::kIdle;
    const bool alone = without(kernel_.scheduler.ran(), bit_of(turn.slot)) == 0;
    const model::Point at = actor(turn.slot).point;
    const bool retries = now == ActorState::kParked && at == model::Point::kFaultRetry;
    // Whom a step wakes runs when it is over; a loop that is stopped where it begins anew has not
    // seen that nothing is new.
    turn.joins = alone && !retries && at != model::Point::kGuestReentry;
    turns_.push_back(turn);
    for (Thread& other : threads_) other.rounds = &other == &thread ? other.rounds : 0;
    if (retries) ++thread.rounds;
    // Where an operation begins is seen by others: they have had company. Who spins looks whether
    // anybody did anything.
    const bool harmless = sleeps_ && !turn.begins && alone && !anybody_spins() &&
                          (turn.ends || now == ActorState::kParked) && traces() == before;
    node.harmless =
        harmless ? node.harmless | bit_of(turn.slot) : without(node.harmless, bit_of(turn.slot));
    return take(oracle_.check(model_.view()));
  }

  Traces traces() const {
    Traces out{.written = kernel_.machine.journal.size()};
    for (unsigned slot = 0; slot < kMaxActors; ++slot) {
      out.locks[slot] = actor(slot).held_locks;
      out.sections[slot] =
          static_cast<std::uint16_t>(actor(slot).srcu_readers | actor(slot).invalidations << 8);
    }
    return out;
  }
  bool anybody_spins() const {
    for (unsigned slot = 0; slot < kMaxActors; ++slot) {
      if (actor(slot).state == ActorState::kSpinning) return true;
    }
    return false;
  }

  void count_run() {
    ++result_.runs;
    result_.turns += turns_.size();
    result_.longest = std::max(result_.longest, turns_.size());
    result_.share += path_.empty() ? 1 : path_.back().share_of_child();
  }

  /// To the last choice that can still be made otherwise. False: there is none.
  bool step_back() {
    for (; !path_.empty(); path_.pop_back()) {
      Node& node = path_.back();
      node.done |= bit_of(node.chosen);
      if (node.left() == 0) continue;
      node.chosen = static_cast<unsigned>(std::countr_zero(node.left()));
      return true;
    }
    return false;
  }

  // ---- Findings ----

  /// True if there is one other than what is known upstream.
  bool take(const std::optional<oracle::Finding>& finding) {
    if (!finding) return false;
    const auto same = [&](const ExploreFinding& known) {
      return known.finding.invariant == finding->invariant && known.finding.cls == finding->cls;
    };
    auto at = std::ranges::find_if(result_.found, same);
    if (at == result_.found.end()) {
      result_.found.push_back({.finding = *finding, .sequence = schedule(false)});
      joined_.push_back(schedule(true));
      last_runs_.push_back(0);
      at = result_.found.end() - 1;
    }
    const std::uint64_t run = result_.runs + 1;
    const auto i = static_cast<std::size_t>(at - result_.found.begin());
    if (std::exchange(last_runs_[i], run) != run) ++at->times;
    return finding->cls == oracle::FindingClass::kFinding;
  }

  /// Where `joined` shows the finding too, it takes the place of the turns one by one.
  void shorten(ExploreFinding& one, const Sequence& joined) {
    const Findings again = replay(joined);
    const auto is_it = [&one](const std::optional<FoundAt>& found) {
      return found && found->finding.invariant == one.finding.invariant &&
             found->finding.cls == one.finding.cls;
    };
    if (is_it(again.finding) || is_it(again.known_upstream)) one.sequence = joined;
  }

  Step step_of(const Turn& turn, std::uint8_t park) const {
    Step step = program_.steps[turn.step];
    if (!turn.begins) {
      step.op = Resume{.target = threads_[turn.slot].id};
      step.actor = default_actor(step.op);
    }
    step.park = park;
    return step;
  }

  /// The turns so far as a sequence, each as a step, or turns of one operation in a row as one step
  /// where they may be.
  Sequence schedule(bool joined) const {
    Sequence out = program_.setup;
    for (std::size_t i = 0; i < turns_.size();) {
      std::size_t end = i + 1;
      while (joined && end < turns_.size() && end - i < kMaxPark &&
             turns_[end].slot == turns_[i].slot && !turns_[end].begins && turns_[end - 1].joins)
        ++end;
      const bool ends = turns_[end - 1].ends;
      out.steps.push_back(step_of(turns_[i], ends ? 0 : static_cast<std::uint8_t>(end - i)));
      i = end;
    }
    return out;
  }

  model::ModelBackend& model_;
  const model::Kernel& kernel_;
  const Program& program_;
  const ExploreOptions& options_;
  oracle::Oracle oracle_{};
  std::array<Thread, kMaxActors> threads_{};
  std::vector<Node> path_{};
  std::vector<Turn> turns_{};  // of the present run
  Exploration result_{};
  std::vector<Sequence> joined_{};          // the schedule of result_.found[i], joined
  std::vector<std::uint64_t> last_runs_{};  // that met result_.found[i], from 1
  bool sleeps_;
};

bool stops_inside(const Step& step) {
  return step.park != 0 || std::holds_alternative<Resume>(step.op);
}

}  // namespace

bool Exploration::has_finding() const {
  return std::ranges::any_of(found, [](const ExploreFinding& one) {
    return one.finding.cls == oracle::FindingClass::kFinding;
  });
}

std::expected<Program, std::string> program_of(const Sequence& sequence, std::string_view file,
                                               std::optional<std::uint32_t> line) {
  const auto line_of = [&](std::size_t step) {
    return step < sequence.lines.size() ? sequence.lines[step] : 0;
  };
  const auto place = [&](std::size_t step) { return fmt::format("{}:{}", file, line_of(step)); };
  const std::vector<Step>& steps = sequence.steps;
  std::size_t first = 0;
  while (first < steps.size() && (line ? line_of(first) < *line : !stops_inside(steps[first]))) {
    ++first;
  }
  if (first == steps.size()) {
    return std::unexpected(
        line ? fmt::format("{}:{}: no operation there or below", file, *line)
             : fmt::format("{}: where the part to explore begins is not said: give the line of its "
                           "first operation, or that operation a park point",
                           file));
  }
  Program program{.setup = sequence, .steps = {}, .line = line_of(first)};
  program.setup.steps.resize(first);
  program.setup.expectations.clear();
  program.setup.lines.clear();
  for (std::size_t i = 0; i < first; ++i) {
    if (stops_inside(steps[i]))
      return std::unexpected(place(i) +
                             ": an operation stops here, so that the part to explore cannot begin "
                             "below: begin it here or above");
  }
  for (std::size_t i = first; i < steps.size(); ++i) {
    if (std::holds_alternative<Resume>(steps[i].op)) continue;
    program.steps.push_back(steps[i]);
    program.steps.back().park = 0;
  }
  const bool alone = std::ranges::all_of(
      program.steps, [&](const Step& step) { return step.actor == program.steps.front().actor; });
  if (alone)
    return std::unexpected(place(first) +
                           ": only one actor has operations from here on: an interleaving takes "
                           "two (@vcpu0, @vmm1, ...)");
  return program;
}

Exploration explore(model::ModelBackend& model, const Program& program,
                    const ExploreOptions& options) {
  return Explorer(model, program, options).run();
}

}  // namespace sluice::run
