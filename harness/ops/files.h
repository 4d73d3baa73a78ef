// Sequences in files: finding and reading .ops files. The only place of `ops` that touches the
// file system.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "ops/sequence.h"

namespace sluice {

/// The whole file. Error: errno with the path; number 0 and a reason where it is a directory or has
/// more than `max_bytes` bytes.
Expected<std::string> read_file(const std::string& path, std::size_t max_bytes);

/// The sequence in a text file (parse_text() errors carry the path).
Expected<Sequence> read_sequence(const std::string& path);

/// The .ops files that `paths` mean, sorted within each: a file stands for itself whatever its
/// name, a directory for all .ops files below it. Error: a path that does not exist or cannot be
/// read, a directory without any .ops file.
Expected<std::vector<std::string>> find_sequences(std::span<const std::string> paths);

/// Writes the file anew, through a temporary one beside it, so that an interrupted write leaves the
/// old one.
Expected<void> write_file(const std::string& path, std::string_view contents);

}  // namespace sluice
