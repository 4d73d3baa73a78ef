// What every subcommand shares: exit status, how a command is added and says what it takes, how
// errors are said. CLI11, which parses command lines, stays behind this header: it takes a compiler
// ten seconds wherever an option is declared with it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/system_error.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice::tool {

/// Exit status everywhere (the command line is a contract).
enum Status : int { kFine = 0, kFinding = 1, kInconclusive = 2, kUsage = 3 };

// Each adds one subcommand; when it is chosen, its callback stores its status.
void add_doctor(CLI::App& app, int& status);
void add_list(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_explore(CLI::App& app, int& status);
void add_hunt(CLI::App& app, int& status);
void add_alternatives(CLI::App& app, int& status);
void add_simulate(CLI::App& app, int& status);
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

/// What an option's value must be; anything else is a usage error that names the option.
class OptionRules {
 public:
  explicit OptionRules(CLI::Option* option) : option_(option) {}
  OptionRules& required();
  OptionRules& one_of(std::vector<std::string> words);
  /// Both ends belong to it.
  OptionRules& between(std::uint64_t low, std::uint64_t high);
  OptionRules& non_negative();
  OptionRules& existing_path();
  OptionRules& not_empty();
  /// Of an option that may be given again: what follows its first value is not its own.
  OptionRules& one_value_each();

 private:
  CLI::Option* option_;
};

/// One subcommand while it is declared. Pre: the fields outlive the parse.
class Command {
 public:
  Command(CLI::App& app, const std::string& name, const std::string& description);
  /// `names`: "--seed", or "FILE" for what stands without a name. T: std::string, a vector of them,
  /// an unsigned number of 32 or 64 bits, or an optional of 32.
  template <class T>
  OptionRules option(const std::string& names, T& field, const std::string& help);
  void flag(const std::string& names, bool& field, const std::string& help);
  /// What stands without a name comes behind all options.
  void positionals_at_end();
  /// Called when the line was parsed and this command chosen.
  void on_run(std::function<void()> action);

 private:
  CLI::App* app_;
};

/// Makes the folder of an option, with those above it; nothing where it is "". Error: names the
/// option.
Expected<void> make_out_folder(const std::string& path, std::string_view option = "--out");

/// Prints "sluice: MESSAGE" to stderr and returns kUsage.
int complain(std::string_view message);
inline int complain(const SystemError& error) { return complain(error.message()); }

}  // namespace sluice::tool
