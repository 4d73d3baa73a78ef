#include "tool/rows.h"

#include <fmt/format.h>

#include "platform/build_info.h"
#include "platform/clock.h"
#include "platform/fingerprint.h"

namespace sluice::tool {

Expected<RowWriter> RowWriter::open(const RowTarget& target) {
  RowWriter writer;
  if (target.file.empty()) return writer;
  auto sink = record::RowSink::open(target.file);
  if (!sink) return std::unexpected(sink.error());
  writer.sink_.emplace(std::move(*sink));
  platform::Fingerprint host = platform::read_fingerprint();
  const platform::BuildInfo& build = platform::build_info();
  writer.head_ = {.run = target.run.empty() ? platform::new_run_id() : target.run,
                  .time = {},
                  .commit = build.commit,
                  .dirty = build.dirty,
                  .host = host.id};
  if (auto written = writer.append(record::HostRow{.fingerprint = std::move(host.facts)}); !written)
    return std::unexpected(written.error());
  return writer;
}

Expected<void> RowWriter::append(record::Row row) {
  if (!sink_) return {};
  head_.time = platform::utc_now();
  std::visit([this](auto& r) { r.head = head_; }, row);
  return sink_->append(row);
}

Expected<void> check_writable(const RowTarget& target) {
  if (target.file.empty()) return {};
  const auto sink = record::RowSink::open(target.file);
  if (sink) return {};
  return input_error(
      fmt::format("--rows: {}; name a file in a folder that exists and can be written to",
                  sink.error().message()));
}

Expected<void> append_row(const RowTarget& target, record::Row row) {
  auto writer = RowWriter::open(target);
  return writer ? writer->append(std::move(row)) : std::unexpected(writer.error());
}

}  // namespace sluice::tool
