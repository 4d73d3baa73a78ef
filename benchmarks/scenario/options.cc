#include "benchmarks/scenario/options.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <utility>

namespace sluice::bench {
namespace {

bool parse_number(std::string_view text, unsigned& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string usage(const std::string& program) {
  return fmt::format(
      "usage: {} [options]\n"
      "  --filter RE        only benchmarks whose name this regular expression finds\n"
      "  --rows FILE        append one JSON row per benchmark (and one for the host) to FILE\n"
      "  --run ID           id of the run in the rows (default: a new one)\n"
      "  --smoke            small sizes: shows that every benchmark works, says nothing of speed\n"
      "  --count            instructions of single system calls, not times; in 'sluice lane "
      "--icount'\n"
      "  --repetitions N    default: the benchmark's own, mostly 21; with --smoke 3\n"
      "  --cpu-node N       node whose cores run the threads (default 0)\n"
      "  --memory-node N    node that memory comes from (default 0)\n"
      "  --list             print the names and stop\n"
      "exit status: 0 fine (what the host lacks is skipped, with its reason), 1 a benchmark did "
      "not do its work, 3 usage or set-up\n",
      program);
}

Expected<Options> parse_options(std::span<const char* const> arguments) {
  Options options;
  const std::pair<std::string_view, bool*> switches[] = {{"--smoke", &options.smoke},
                                                         {"--count", &options.count},
                                                         {"--list", &options.list},
                                                         {"--help", &options.help}};
  const std::pair<std::string_view, std::string*> texts[] = {
      {"--filter", &options.filter}, {"--rows", &options.rows}, {"--run", &options.run}};
  const std::pair<std::string_view, unsigned*> numbers[] = {
      {"--repetitions", &options.repetitions},
      {"--cpu-node", &options.cpu_node},
      {"--memory-node", &options.memory_node}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    bool known = false;
    for (const auto& [flag, to] : switches) {
      if (name == flag) known = *to = true;
    }
    if (known) continue;
    std::string_view value;
    const std::size_t equals = name.find('=');
    const bool joined = equals != std::string_view::npos;
    if (joined) value = name.substr(equals + 1);
    name = name.substr(0, equals);
    const bool has_value = joined || i + 1 < arguments.size();
    if (!joined && has_value) value = arguments[i + 1];
    for (const auto& [flag, to] : texts) {
      if (name != flag) continue;
      known = true;
      *to = value;
    }
    for (const auto& [flag, to] : numbers) {
      if (name != flag) continue;
      known = true;
      if (has_value && !parse_number(value, *to))
        return input_error(fmt::format("{} wants a number, not \"{}\"", name, value));
    }
    if (!known)
      return input_error(fmt::format("unknown argument \"{}\"; --help lists them", arguments[i]));
    if (!has_value) return input_error(fmt::format("{} wants a value behind it", name));
    if (!joined) ++i;
  }
  return options;
}

}  // namespace sluice::bench
