// sluice: measures and breaks the paths by which confidential-VM memory changes hands.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <exception>

#include "tool/command.h"

namespace sluice::tool {
namespace {

void add_all(CLI::App& app, int& status) {
  add_doctor(app, status);
  add_list(app, status);
  add_run(app, status);
  add_explore(app, status);
  add_hunt(app, status);
  add_alternatives(app, status);
  add_simulate(app, status);
  add_minimize(app, status);
  add_export_c(app, status);
  add_encode(app, status);
  add_decode(app, status);
  add_fuzz(app, status);
  add_bench(app, status);
  add_lane(app, status);
  add_kselftest(app, status);
  add_compare(app, status);
  add_site(app, status);
}

/// CLI11 says of a word that it does not know only that a command is missing. What to say of it;
/// "" if it is a command.
std::string unknown_command(const CLI::App& app, std::string_view word) {
  std::string known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return {};
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  return fmt::format("unknown command '{}'; known are: {}", word, known);
}

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Sluice measures and breaks the paths by which confidential-VM memory changes hands.\n"
      "Exit status: 0 fine, 1 finding or regression, 2 inconclusive, 3 usage or set-up error.");
  app.name("sluice");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Print the help of every command");
  int status = kFine;
  add_all(app, status);
  if (argc > 1 && argv[1][0] != '-') {
    const std::string unknown = unknown_command(app, argv[1]);
    if (!unknown.empty()) return complain(unknown);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for_help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return asked_for_help ? kFine : kUsage;
  }
  if (std::fflush(stdout) != 0)
    return complain(system_error("write to standard output").error().message());
  return status;
}

}  // namespace
}  // namespace sluice::tool

int main(int argc, char** argv) {
  // Nothing of ours throws, but libraries do: fmt where standard output takes no more.
  try {
    return sluice::tool::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return sluice::tool::kUsage;
  }
}
