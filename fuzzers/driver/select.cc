// Makes a small corpus of a large one: of the inputs that a fuzzer has collected, those that reach
// edges of the subject which the checked-in sequences do not, each shortened as far as it still
// reaches them, as text. Only in a build with coverage counters (preset fuzz-libfuzzer).
//   fuzz_sequence_select OUT-DIRECTORY FUZZER-CORPUS CHECKED-IN-DIRECTORY...
// Exit status: 0 fine (OUT has the sequences, perhaps none), 1 an input has a finding, 3 usage.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "fuzzers/driver/fuzz_target.h"
#include "ops/codec.h"
#include "ops/files.h"
#include "ops/text.h"

// One counter for each edge, between the two symbols that the linker defines.
extern "C" std::uint8_t __start___sancov_cntrs[];
extern "C" std::uint8_t __stop___sancov_cntrs[];

namespace {

namespace fs = std::filesystem;
using sluice::Expected;
using sluice::Sequence;

constexpr std::size_t kMaxInputBytes = std::size_t{1} << 20;

/// Edges by number, in rising order.
using Edges = std::vector<std::uint32_t>;

std::span<std::uint8_t> counters() {
  return {__start___sancov_cntrs,
          static_cast<std::size_t>(__stop___sancov_cntrs - __start___sancov_cntrs)};
}

Edges edges_of(const Sequence& sequence) {
  std::vector<std::uint8_t> bytes;
  sluice::encode_sequence(sequence, bytes);
  std::ranges::fill(counters(), std::uint8_t{0});
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  Edges edges;
  for (std::uint32_t i = 0; i < counters().size(); ++i) {
    if (counters()[i] != 0) edges.push_back(i);
  }
  return edges;
}

Expected<std::vector<fs::path>> files_of(const std::string& directory) {
  std::error_code code;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory, code)) {
    if (entry.is_regular_file(code)) files.push_back(entry.path());
  }
  if (code || files.empty()) return sluice::input_error(directory + ": no file in this directory");
  std::ranges::sort(files);
  return files;
}

Expected<Sequence> read_input(const fs::path& path) {
  if (path.extension() == ".ops") return sluice::read_sequence(path.string());
  const auto contents = sluice::read_file(path.string(), kMaxInputBytes);
  if (!contents) return std::unexpected(contents.error());
  const std::vector<std::uint8_t> bytes(contents->begin(), contents->end());
  Sequence sequence;
  sluice::decode_sequence(bytes, sequence);
  return sequence;
}

/// How many of the sequences, checked in or selected, reach each edge.
class Reached {
 public:
  Reached() : counts_(counters().size()) {}
  void add(const Edges& edges, std::uint32_t change) {
    for (const std::uint32_t edge : edges) counts_[edge] += change;
  }
  /// Those of `edges` that nobody else reaches; `own` is 1 where they were added already.
  Edges missing(const Edges& edges, std::uint32_t own = 0) const {
    Edges out;
    std::ranges::copy_if(edges, std::back_inserter(out),
                         [&](std::uint32_t edge) { return counts_[edge] == own; });
    return out;
  }

 private:
  std::vector<std::uint32_t> counts_;
};

/// Takes steps away, the last first, as long as `wanted` is reached.
void shorten(Sequence& sequence, const Edges& wanted) {
  sequence.expectations.clear();
  sequence.lines.clear();
  for (std::size_t i = sequence.steps.size(); i-- > 0;) {
    Sequence shorter = sequence;
    shorter.steps.erase(shorter.steps.begin() + static_cast<std::ptrdiff_t>(i));
    if (std::ranges::includes(edges_of(shorter), wanted)) sequence = std::move(shorter);
  }
}

struct Selected {
  Sequence sequence{};
  Edges edges{};
};

Expected<std::vector<Selected>> select(const std::string& corpus, Reached& reached) {
  const auto files = files_of(corpus);
  if (!files) return std::unexpected(files.error());
  std::vector<Sequence> inputs;
  for (const fs::path& path : *files) {
    auto input = read_input(path);
    if (!input) return std::unexpected(input.error());
    inputs.push_back(*std::move(input));
  }
  std::ranges::stable_sort(inputs, {}, [](const Sequence& input) { return input.steps.size(); });
  std::vector<Selected> selected;
  for (Sequence& input : inputs) {
    const Edges fresh = reached.missing(edges_of(input));
    if (fresh.empty()) continue;
    shorten(input, fresh);
    Edges edges = edges_of(input);
    reached.add(edges, 1);
    if (input.steps.empty()) continue;  // a policy alone: no file holds that
    selected.push_back({.sequence = std::move(input), .edges = std::move(edges)});
  }
  // What came later may reach all that an earlier one was taken for.
  std::erase_if(selected, [&reached](const Selected& one) {
    if (!reached.missing(one.edges, 1).empty()) return false;
    reached.add(one.edges, ~std::uint32_t{0});
    return true;
  });
  return selected;
}

Expected<void> write_all(std::vector<Selected>& selected, const std::string& out) {
  for (Selected& one : selected) {
    one.sequence.notes.title = "reaches edges that no other checked-in sequence does";
    const std::string body = sluice::format_text(one.sequence);
    sluice::Hash hash;
    for (const char c : body) hash.add(static_cast<std::uint8_t>(c));
    const std::string name = fmt::format("{}/reach-{:016x}.ops", out, hash.value());
    if (const auto done = sluice::write_file(name, body); !done) return done;
  }
  return {};
}

Expected<void> run(const std::vector<std::string>& arguments) {
  std::error_code code;
  fs::create_directories(arguments[0], code);
  if (code) return sluice::input_error(arguments[0] + ": cannot make this directory");
  Reached reached;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const auto files = files_of(arguments[i]);
    if (!files) return std::unexpected(files.error());
    for (const fs::path& path : *files) {
      const auto input = read_input(path);
      if (!input) return std::unexpected(input.error());
      reached.add(edges_of(*input), 1);
    }
  }
  auto selected = select(arguments[1], reached);
  if (!selected) return std::unexpected(selected.error());
  fmt::print("select: {} sequences reach what the checked-in ones do not\n", selected->size());
  return write_all(*selected, arguments[0]);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 3 || arguments[0].starts_with("-")) {
    fmt::print(stderr,
               "usage: SELECT OUT-DIRECTORY FUZZER-CORPUS CHECKED-IN-DIRECTORY...\n"
               "Writes as text what of the fuzzer's corpus reaches edges that the checked-in "
               "sequences do not.\n");
    return 3;
  }
  if (const auto done = run(arguments); !done) {
    fmt::print(stderr, "select: {}\n", done.error().message());
    return 3;
  }
  return 0;
}
