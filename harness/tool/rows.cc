#include "tool/rows.h"

#include "platform/build_info.h"
#include "platform/clock.h"
#include "platform/fingerprint.h"

namespace sluice::tool {

Expected<void> append_row(const RowTarget& target, record::Row row) {
  if (target.file.empty()) return {};
  auto sink = record::RowSink::open(target.file);
  if (!sink) return std::unexpected(sink.error());
  platform::Fingerprint host = platform::read_fingerprint();
  const platform::BuildInfo& build = platform::build_info();
  const record::Head head{.run = target.run.empty() ? platform::new_run_id() : target.run,
                          .time = platform::utc_now(),
                          .commit = build.commit,
                          .dirty = build.dirty,
                          .host = host.id};
  if (auto written =
          sink->append(record::HostRow{.head = head, .fingerprint = std::move(host.facts)});
      !written)
    return written;
  std::visit([&head](auto& r) { r.head = head; }, row);
  return sink->append(row);
}

}  // namespace sluice::tool
