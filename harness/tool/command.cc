#include "tool/command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

namespace sluice::tool {

OptionRules& OptionRules::required() {
  option_->required();
  return *this;
}
OptionRules& OptionRules::one_of(std::vector<std::string> words) {
  option_->check(CLI::IsMember(std::move(words)));
  return *this;
}
OptionRules& OptionRules::between(std::uint64_t low, std::uint64_t high) {
  option_->check(CLI::Range(low, high));
  return *this;
}
OptionRules& OptionRules::non_negative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}
OptionRules& OptionRules::existing_path() {
  option_->check(CLI::ExistingPath);
  return *this;
}
OptionRules& OptionRules::not_empty() {
  option_->check([](const std::string& value) { return value.empty() ? "it is empty" : ""; });
  return *this;
}
OptionRules& OptionRules::one_value_each() {
  option_->allow_extra_args(false);
  return *this;
}

Command::Command(CLI::App& app, const std::string& name, const std::string& description)
    : app_(app.add_subcommand(name, description)) {}

template <class T>
OptionRules Command::option(const std::string& names, T& field, const std::string& help) {
  return OptionRules(app_->add_option(names, field, help));
}
template OptionRules Command::option(const std::string&, std::string&, const std::string&);
template OptionRules Command::option(const std::string&, std::vector<std::string>&,
                                     const std::string&);
template OptionRules Command::option(const std::string&, std::uint32_t&, const std::string&);
template OptionRules Command::option(const std::string&, std::uint64_t&, const std::string&);
template OptionRules Command::option(const std::string&, std::optional<std::uint32_t>&,
                                     const std::string&);

void Command::flag(const std::string& names, bool& field, const std::string& help) {
  app_->add_flag(names, field, help);
}
void Command::positionals_at_end() { app_->positionals_at_end(); }
void Command::on_run(std::function<void()> action) { app_->callback(std::move(action)); }

Expected<void> make_out_folder(const std::string& path, std::string_view option) {
  std::error_code error;
  if (!path.empty()) std::filesystem::create_directories(path, error);
  if (error) return input_error(fmt::format("{} {}: {}", option, path, error.message()));
  return {};
}

int complain(std::string_view message) {
  std::fflush(stdout);  // what was printed before comes first
  fmt::print(stderr, "sluice: {}\n", message);
  return kUsage;
}

}  // namespace sluice::tool
