#include "record/row_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "record/row_json.h"

namespace sluice::record {
namespace {

Expected<std::string> read_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("open " + path);
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      auto error = system_error("read " + path);
      ::close(fd);
      return error;
    }
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

}  // namespace

Expected<RowSink> RowSink::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return system_error(fmt::format("open {} for appending rows", path));
  const off_t end = ::lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (end > 0 && ::pread(fd, &last, 1, end - 1) != 1) {
    auto error = system_error("read the last byte of " + path);
    ::close(fd);
    return error;
  }
  return RowSink(path, fd, last != '\n');
}

RowSink::RowSink(RowSink&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      line_open_(other.line_open_) {}

RowSink& RowSink::operator=(RowSink&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(line_open_, other.line_open_);
  return *this;
}

RowSink::~RowSink() {
  if (fd_ >= 0) ::close(fd_);
}

Expected<void> RowSink::append(const Row& row) {
  std::string line = line_open_ ? "\n" : "";
  line += to_json(row);
  line += '\n';
  ssize_t written = 0;
  do {
    written = ::write(fd_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return system_error("append a row to " + path_);
  line_open_ = static_cast<std::size_t>(written) != line.size();
  if (line_open_) {
    return input_error(
        fmt::format("append a row to {}: only {} of {} bytes fitted; is the disk full?", path_,
                    written, line.size()));
  }
  return {};
}

Expected<RowsRead> parse_rows(std::string_view text, const std::string& name) {
  RowsRead result;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (is_torn(line)) {
      result.torn.push_back(
          fmt::format("{}:{}: unfinished row passed over (its writer was cut off after {} bytes)",
                      name, number, line.size()));
      continue;
    }
    Expected<Row> row = from_json(line);
    if (!row) return input_error(fmt::format("{}:{}: {}", name, number, row.error().message()));
    result.rows.push_back(std::move(*row));
  }
  return result;
}

Expected<RowsRead> read_rows(const std::string& path) {
  const Expected<std::string> text = read_whole(path);
  if (!text) return std::unexpected(text.error());
  return parse_rows(*text, path);
}

}  // namespace sluice::record
