#include "kvm/stats.h"

#include <algorithm>
#include <cstring>

namespace sluice::kvm {
namespace {

// Bounds against a layout that makes no sense; the kernel has about 60 entries of names up to 48.
constexpr std::uint32_t kMaxEntries = 4096;
constexpr std::uint32_t kMaxNameBytes = 256;

Expected<void> read_exactly(Syscalls& sys, int fd, FileSpan span) {
  const SysResult result = sys.pread(fd, span);
  if (!result.ok()) {
    return std::unexpected(SystemError{.number = result.error, .what = "read of KVM statistics"});
  }
  if (result.value != static_cast<std::int64_t>(span.length)) {
    return input_error("KVM statistics file is shorter than its header says");
  }
  return {};
}

}  // namespace

Expected<Stats> Stats::open(Syscalls& sys, int fd) {
  const SysResult opened = sys.ioctl(fd, uapi::kGetStatsFd, 0);
  if (!opened.ok()) {
    return std::unexpected(SystemError{.number = opened.error, .what = "KVM_GET_STATS_FD"});
  }
  Stats stats(sys, Fd(sys, opened.fd()));
  if (auto read = stats.read_layout(); !read) return std::unexpected(read.error());
  if (auto read = stats.refresh(); !read) return std::unexpected(read.error());
  return stats;
}

Expected<void> Stats::read_layout() {
  auto read = read_exactly(*sys_, fd_.get(), {.at = &header_, .length = sizeof header_});
  if (!read) return read;
  if (header_.descriptor_count > kMaxEntries || header_.name_size == 0 ||
      header_.name_size > kMaxNameBytes) {
    return input_error("KVM statistics header makes no sense");
  }
  const std::size_t stride = sizeof(uapi::StatsDescriptor) + header_.name_size;
  std::vector<char> raw(stride * header_.descriptor_count);
  read =
      read_exactly(*sys_, fd_.get(),
                   {.at = raw.data(), .length = raw.size(), .offset = header_.descriptor_offset});
  if (!read) return read;
  std::size_t value_count = 0;
  for (std::uint32_t i = 0; i < header_.descriptor_count; ++i) {
    uapi::StatsDescriptor descriptor;
    std::memcpy(&descriptor, raw.data() + i * stride, sizeof descriptor);
    const char* const name = raw.data() + i * stride + sizeof descriptor;
    entries_.push_back(
        {.name = std::string(name, strnlen(name, header_.name_size)),
         .flags = descriptor.flags,
         .size = descriptor.size,
         .first = descriptor.offset / static_cast<std::uint32_t>(sizeof(std::uint64_t))});
    value_count = std::max<std::size_t>(value_count, entries_.back().first + descriptor.size);
  }
  if (value_count > std::size_t{64} * kMaxEntries)
    return input_error("KVM statistics are absurdly many");
  values_.resize(value_count);
  return {};
}

Expected<void> Stats::refresh() {
  return read_exactly(*sys_, fd_.get(),
                      {.at = values_.data(),
                       .length = values_.size() * sizeof(std::uint64_t),
                       .offset = header_.data_offset});
}

std::optional<std::uint64_t> Stats::value(std::string_view name) const {
  const auto at = std::ranges::find(entries_, name, &Entry::name);
  if (at == entries_.end() || at->size == 0) return std::nullopt;
  return values_[at->first];
}

}  // namespace sluice::kvm
