#include "model/machine/machine.h"

namespace sluice::model {

Expected<Machine> Machine::open(const HostProfile& profile) {
  auto journal = Journal::open();
  if (!journal) return std::unexpected(journal.error());
  auto rmp = Rmp::open(profile.frame_count, *journal);
  if (!rmp) return std::unexpected(rmp.error());
  auto frames = Frames::open(profile.frame_count);
  if (!frames) return std::unexpected(frames.error());
  auto sept = SecureEpt::open(profile.frame_count);
  if (!sept) return std::unexpected(sept.error());
  Machine machine{.journal = std::move(*journal),
                  .rmp = std::move(*rmp),
                  .frames = std::move(*frames),
                  .sept = std::move(*sept)};
  machine.profile = profile;
  machine.header.kernel = profile.version;
  return machine;
}

}  // namespace sluice::model
