// Whole files in and out; a file is replaced only once its successor is complete on disk.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "base/system_error.h"

namespace sluice::reports {

/// Errors: errno and the path; a directory is an error too.
Expected<std::string> read_text(const std::filesystem::path& path);

/// Writes a new file beside `path` and renames it over: an interruption leaves the old file or the
/// new one. Errors: errno and the path; `path` is then as it was.
Expected<void> write_text(const std::filesystem::path& path, std::string_view text);

/// A name in the same directory for a file in the making; a leftover of an earlier process of that
/// name is removed.
std::filesystem::path temporary_beside(const std::filesystem::path& path);

/// Renames `temporary` over `path`; on error removes it.
Expected<void> replace_file(const std::filesystem::path& temporary,
                            const std::filesystem::path& path);

}  // namespace sluice::reports
