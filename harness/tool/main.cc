// sluice: measures and breaks the paths by which confidential-VM memory changes hands.
#include <cstdio>

#include "tool/command.h"

int main(int argc, char** argv) {
  namespace tool = sluice::tool;
  CLI::App app(
      "Sluice measures and breaks the paths by which confidential-VM memory changes hands.\n"
      "Exit status: 0 fine, 1 finding or regression, 2 inconclusive, 3 usage or set-up error.");
  app.name("sluice");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Print the help of every command");
  int status = tool::kFine;
  tool::add_doctor(app, status);
  tool::add_list(app, status);
  tool::add_run(app, status);
  tool::add_minimize(app, status);
  tool::add_encode(app, status);
  tool::add_decode(app, status);
  tool::add_fuzz(app, status);
  tool::add_bench(app, status);
  tool::add_compare(app, status);
  tool::add_site(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for_help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return asked_for_help ? tool::kFine : tool::kUsage;
  }
  std::fflush(stdout);
  return status;
}
