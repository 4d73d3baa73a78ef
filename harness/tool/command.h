// What every subcommand shares: exit status, how a command is added, how errors are said.
#pragma once
#include <CLI/CLI.hpp>
#include <string_view>

#include "base/system_error.h"

namespace sluice::tool {

/// Exit status everywhere (the command line is a contract).
enum Status : int { kFine = 0, kFinding = 1, kInconclusive = 2, kUsage = 3 };

// Each adds one subcommand; when it is chosen, its callback stores its status.
void add_doctor(CLI::App& app, int& status);
void add_list(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_explore(CLI::App& app, int& status);
void add_minimize(CLI::App& app, int& status);
void add_export_c(CLI::App& app, int& status);
void add_encode(CLI::App& app, int& status);
void add_decode(CLI::App& app, int& status);
void add_fuzz(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_lane(CLI::App& app, int& status);
void add_kselftest(CLI::App& app, int& status);
void add_compare(CLI::App& app, int& status);
void add_site(CLI::App& app, int& status);

/// Prints "sluice: MESSAGE" to stderr and returns kUsage.
int complain(std::string_view message);
inline int complain(const SystemError& error) { return complain(error.message()); }

}  // namespace sluice::tool
