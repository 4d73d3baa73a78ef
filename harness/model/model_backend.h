// The software model as a backend: takes the steps of a sequence, answers outcomes, shows its
// state. It never judges.
#pragma once
#include <cstdint>
#include <memory>

#include "base/system_error.h"
#include "ops/sequence.h"
#include "trace/host_profile.h"
#include "trace/outcome.h"
#include "trace/view.h"

namespace sluice::model {

struct Kernel;

/// Both backends have begin(), apply(), finish(), reset() and view() (run/backend.h).
/// Thread: compatible; movable. Cost: open() some mmaps; apply() no allocation once warm;
/// reset() what the sequence touched.
class ModelBackend {
 public:
  /// A machine and a kernel as `profile` says. Fails where the system refuses address space.
  static Expected<ModelBackend> open(const HostProfile& profile);
  ModelBackend(ModelBackend&&) noexcept;
  ModelBackend& operator=(ModelBackend&&) noexcept;
  ~ModelBackend();

  /// Starts a sequence. A header that names another kernel version than the profile's changes what
  /// is a matter of version (gmem flags), not what is a matter of the host. Pre: reset, or new.
  void begin(const SequenceHeader& header);
  /// Runs one step: to its end, its park point, or until it blocks.
  Outcome apply(const Step& step);
  /// Ends a sequence: lets everybody in flight go on, in a fixed order, until nobody can. Counts as
  /// a step of its own for the view. Who is still in flight then is stuck (view().progress()).
  void finish();
  /// Back to the state after open().
  void reset();

  /// Between steps: the harness maps its host region anew while VMs live on, which no operation
  /// does. Every page reads zero from here, and none is unmapped.
  void renew_host_region();

  /// What a checker may see of the last step; valid until the next call.
  const View& view() const;
  /// Canonical: equal states give equal hashes on every machine and compiler; what is cached or
  /// merely remembered is left out, operations in flight are in. Cost: a walk over the whole state.
  std::uint64_t state_hash() const;
  /// Coroutine frames in use: 0 unless an operation is in flight.
  std::size_t live_frames() const;
  /// From now on every operation that can be stopped runs as a coroutine even if nothing can stop
  /// it, for the test that both drivers do the same.
  void always_use_coroutines(bool on);
  /// The state itself, for benchmarks and tests of the model, and for explore, which asks the
  /// schedule.
  Kernel& kernel();

 private:
  struct State;
  explicit ModelBackend(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::model
