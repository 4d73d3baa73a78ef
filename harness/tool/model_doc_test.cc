// docs/model.md cannot rot: every name in it is in the tree, its sequences are those of the corpus,
// and its commands print what it says they print.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <optional>
#include <variant>

#include "model/host/kernel.h"
#include "model/model_backend.h"
#include "model/schedule/scheduler.h"
#include "ops/files.h"
#include "ops/reflect.h"
#include "ops/text.h"
#include "oracle/invariant_list.h"
#include "run/expectation.h"
#include "run/runner.h"
#include "tool/test_folder.h"
#include "trace/check_list.h"

namespace sluice::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kMaxFile = std::size_t{1} << 20;
const std::string kRoot = SLUICE_SOURCE_DIR;
constexpr std::string_view kTool = "sluice ";

std::string text_of(const std::string& path) {
  auto text = read_file(kRoot + "/" + path, kMaxFile);
  EXPECT_TRUE(text) << path;
  return text ? *std::move(text) : std::string{};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// A paragraph, a row of a table, or a listing without its indentation.
struct Block {
  std::size_t line = 0;
  bool listing = false;
  std::vector<std::string> lines{};
};
std::vector<Block> blocks_of(std::string_view document) {
  constexpr std::string_view kIndent = "    ";
  std::vector<Block> blocks;
  bool open = false;
  std::size_t number = 0;
  for (const std::string& line : lines_of(document)) {
    ++number;
    const bool listing = line.starts_with(kIndent);
    const bool begins = !open || line.starts_with("|") || listing != blocks.back().listing;
    open = !line.empty();
    if (!open) continue;
    if (begins) blocks.push_back({.line = number, .listing = listing});
    blocks.back().lines.push_back(listing ? line.substr(kIndent.size()) : line);
  }
  return blocks;
}

/// What stands between backquotes, and what stands between "](" and ")".
std::vector<std::string> spans_of(const Block& block, std::string_view open,
                                  std::string_view close) {
  std::string text;
  for (const std::string& line : block.lines) text += line + " ";
  std::vector<std::string> spans;
  for (std::size_t at = text.find(open); at != std::string::npos;) {
    const std::size_t first = at + open.size();
    const std::size_t end = text.find(close, first);
    if (end == std::string::npos) break;
    spans.push_back(text.substr(first, end - first));
    at = text.find(open, end + close.size());
  }
  return spans;
}

/// A cited file or folder, relative to the root; nothing if it is in none of the places where one
/// is looked for.
std::optional<std::string> find_path(const std::string& cited) {
  for (const char* const folder : {"", "harness/model/", "docs/"}) {
    if (std::filesystem::exists(kRoot + "/" + folder + cited)) return folder + cited;
  }
  return std::nullopt;
}
bool is_path(std::string_view span) {
  return span.find('/') != std::string_view::npos || span.ends_with(".h") || span.ends_with(".cc");
}

bool is_word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool starts = at == 0 || !is_word_char(text[at - 1]);
    if (starts && (end == text.size() || !is_word_char(text[end]))) return true;
  }
  return false;
}

/// `apply(Psc)`, `Rmp::update()`, `zap_leaves()`.
struct Function {
  std::string name{};
  std::string argument{};  // a type among its parameters; "" for any
};
std::optional<Function> function_of(const std::string& span) {
  const std::size_t open = span.find('(');
  if (open == std::string::npos || open == 0 || !span.ends_with(')')) return std::nullopt;
  const auto is_name = [](char c) { return is_word_char(c) || c == ':'; };
  const Function function{.name = span.substr(0, open),
                          .argument = span.substr(open + 1, span.size() - open - 2)};
  const bool plain = std::ranges::all_of(function.name, is_name) &&
                     std::ranges::all_of(function.argument, is_word_char);
  // blocked(srcu) is an answer, not a function.
  const bool typed = function.argument.empty() || std::isupper(function.argument[0]) != 0;
  return plain && typed ? std::optional(function) : std::nullopt;
}
/// A return type stands before the name of what is declared, and nothing of an expression.
bool declares(std::string_view before) {
  const std::size_t indent = std::min(before.find_first_not_of(' '), before.size());
  before.remove_prefix(indent);
  const bool expression = before.find_first_of("=(;\"") != std::string_view::npos ||
                          before.starts_with("return ") || before.starts_with("co_") ||
                          before.starts_with("//");
  return indent <= 2 && !before.empty() && !expression && !is_word_char(before.back()) &&
         before.back() != ':';
}
bool is_declared_in(std::string_view text, const Function& function) {
  const std::string wanted = function.name + "(";
  for (std::size_t at = text.find(wanted); at != std::string_view::npos;
       at = text.find(wanted, at + 1)) {
    const std::size_t line = text.rfind('\n', at) + 1;  // npos + 1 == 0
    const std::string_view rest = text.substr(at + wanted.size());
    const bool fits =
        function.argument.empty() || has_word(rest.substr(0, rest.find(')')), function.argument);
    if (fits && declares(text.substr(line, at - line))) return true;
  }
  return false;
}
/// `Kernel::set()` may also stand inside `struct Kernel`.
bool has_function(std::string_view text, Function function) {
  if (is_declared_in(text, function)) return true;
  const std::size_t colons = function.name.find("::");
  if (colons == std::string::npos) return false;
  const std::string owner = function.name.substr(0, colons);
  function.name.erase(0, colons + 2);
  return has_word(text, owner) && text.find("struct " + owner) != std::string_view::npos &&
         is_declared_in(text, function);
}
bool has_type(std::string_view text, const std::string& type) {
  return std::ranges::any_of(std::array{"struct ", "class "}, [&](const char* const keyword) {
    return text.find(keyword + type + " ") != std::string_view::npos;
  });
}

bool is_point(std::string_view span) {
  return std::ranges::any_of(model::kPoints,
                             [span](const model::PointRow& row) { return row.name == span; });
}
/// "psc.*": some reason begins with "psc.".
bool is_group_of_checks(std::string_view span) {
  if (!span.ends_with(".*")) return false;
  span.remove_suffix(1);
  return std::ranges::any_of(kChecks,
                             [span](const CheckRow& row) { return row.name.starts_with(span); });
}
/// A field of an operation with a value, a policy, or where to park.
bool is_setting(std::string_view span) {
  const std::size_t equals = span.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view key = span.substr(0, equals);
  if (key == "park" || parse_policy(span)) return true;
  for (std::size_t op = 0; op < AllOps::kCount; ++op) {
    for (const FieldInfo& field : fields_of(op)) {
      if (field.name == key) return true;
    }
  }
  return false;
}
bool is_vocabulary(const std::string& span) {
  return find_op(span) < AllOps::kCount || is_point(span) || is_group_of_checks(span) ||
         is_setting(span) || run::parse_expectation(span) || oracle::find_invariant(span) ||
         span.starts_with(kTool);
}

/// One line for every name that the tree does not have.
std::vector<std::string> complaints_about(std::string_view document) {
  std::vector<std::string> complaints;
  for (const Block& block : blocks_of(document)) {
    if (block.listing) continue;
    const auto complain = [&](const std::string& span, const std::string& why) {
      complaints.push_back("docs/model.md:" + std::to_string(block.line) + ": " + span + why);
    };
    for (const std::string& link : spans_of(block, "](", ")")) {
      if (!find_path(link)) complain(link, " does not exist");
    }
    const std::vector<std::string> spans = spans_of(block, "`", "`");
    std::string sources;  // of the files that this block names
    for (const std::string& span : spans) {
      if (!is_path(span)) continue;
      const auto path = find_path(span);
      if (!path) complain(span, " does not exist");
      if (path && !path->ends_with('/')) sources += text_of(*path) + "\n";
    }
    for (const std::string& span : spans) {
      if (is_path(span)) continue;
      const auto function = function_of(span);
      const bool found = function ? has_function(sources, *function)
                                  : is_vocabulary(span) || has_type(sources, span);
      if (!found) complain(span, " is in no file that stands beside it, and nothing we name");
    }
  }
  return complaints;
}

std::string document() { return text_of("docs/model.md"); }

TEST(ModelDocument, NamesWhatTheTreeHas) { EXPECT_THAT(complaints_about(document()), IsEmpty()); }

TEST(ModelDocument, IsToldWhatTheTreeLacks) {
  const auto expect_complaint = [](std::string_view text, const std::string& about) {
    EXPECT_THAT(complaints_about(text), ElementsAre(HasSubstr(about))) << text;
  };
  expect_complaint("`zap_leafs()` in `host/tdp_mmu.cc`", "zap_leafs()");
  expect_complaint("`zap_leaves()` in `host/psc.cc`", "zap_leaves()");  // elsewhere
  expect_complaint("`zap_leaves()`", "zap_leaves()");                   // where?
  expect_complaint("`unlock()` in `host/fault.cc`", "unlock()");        // called only
  expect_complaint("`start(Psmash)` in `vmm/psc.cc`", "start(Psmash)");
  expect_complaint("`Rmp::updates()` in `machine/rmp.cc`", "Rmp::updates()");
  expect_complaint("`VmCores` in `host/kernel.h`", "VmCores");
  expect_complaint("`host/fault.cpp`", "host/fault.cpp");
  expect_complaint("[x](modell.md)", "modell.md");
  expect_complaint("stops at `fault.before_slot_lookup`", "fault.before_slot_lookup");
  expect_complaint("refuses `psc.head`", "psc.head");
  expect_complaint("refuses `pcs.*`", "pcs.*");
  expect_complaint("judged by `N99`", "N99");
  expect_complaint("with `colour=red`", "colour=red");
  expect_complaint("\n\n| `zap_leaves()` |\n| `host/tdp_mmu.cc` |",
                   "docs/model.md:3: zap_leaves()");
  EXPECT_THAT(complaints_about("`Rmp::update()` and `RmpRecord`: `machine/rmp.cc` "
                               "`machine/rmp.h`, `start(Psc)` of `vmm/psc.cc`, `host/`, `R1`, "
                               "`psc.*`, `psc.entry_read`, `blocked(srcu)`, `park=K`, `psc`, "
                               "`vmm=kill`, `large=0`"),
              IsEmpty());
}

/// The operations of a sequence as its file has them, without header and empty lines.
std::vector<std::string> operations_of(const std::string& path) {
  std::vector<std::string> lines = lines_of(text_of(path));
  std::erase_if(lines,
                [](const std::string& line) { return line.empty() || line.starts_with("#"); });
  return lines;
}

TEST(ModelDocument, ShowsTheSequencesOfTheCorpus) {
  std::string file;  // the last one named
  std::size_t shown = 0;
  for (const Block& block : blocks_of(document())) {
    for (const std::string& span : spans_of(block, "`", "`")) {
      if (!block.listing && span.ends_with(".ops")) file = span;
    }
    if (!block.listing || block.lines[0].starts_with("$ ")) continue;
    ++shown;
    std::vector<std::string> end = operations_of(file);
    ASSERT_GE(end.size(), block.lines.size()) << "docs/model.md:" << block.line << ", " << file;
    end.erase(end.begin(), end.end() - static_cast<std::ptrdiff_t>(block.lines.size()));
    EXPECT_EQ(block.lines, end) << "docs/model.md:" << block.line << ", " << file;
  }
  EXPECT_EQ(shown, 3u);
}

/// `arguments` given to the program where its user stands: at the root of the tree.
Answer sluice(const TestFolder& folder, const std::string& arguments) {
  return folder.run(
      {"/bin/sh", "-c", "cd '" + kRoot + "' && exec '" SLUICE_PROGRAM "' " + arguments});
}

TEST(ModelDocument, PrintsWhatTheToolPrints) {
  const TestFolder folder(::testing::TempDir() + "sluice_model_doc_test_prints");
  std::size_t commands = 0;
  for (const Block& block : blocks_of(document())) {
    if (!block.listing) continue;
    for (std::size_t i = 0; i < block.lines.size();) {
      constexpr std::string_view kPrompt = "$ sluice ";
      if (!block.lines[i].starts_with(kPrompt)) {
        ++i;
        continue;
      }
      ++commands;
      const std::string arguments = block.lines[i].substr(kPrompt.size());
      std::string expected;
      for (++i; i < block.lines.size() && !block.lines[i].starts_with("$ "); ++i)
        expected += block.lines[i] + "\n";
      const Answer answer = sluice(folder, arguments);
      EXPECT_EQ(answer.text, expected) << "sluice " << arguments;
    }
  }
  EXPECT_EQ(commands, 3u);
}

/// The interleaving points that a section names, in order.
std::vector<std::string> points_in(std::string_view section) {
  std::vector<std::string> points;
  for (const Block& block : blocks_of(section)) {
    if (block.listing) continue;
    std::ranges::copy_if(spans_of(block, "`", "`"), std::back_inserter(points), is_point);
  }
  return points;
}
/// The points at which one actor's operations were parked, in order.
std::vector<std::string> stops_of(const std::string& path, ActorId actor) {
  std::vector<std::string> stops;
  const auto sequence = read_sequence(kRoot + "/" + path);
  EXPECT_TRUE(sequence) << path;
  if (!sequence) return stops;
  auto model = run::open_model_for(*sequence);
  EXPECT_TRUE(model) << path;
  if (!model) return stops;
  model->begin(sequence->header);
  for (const Step& step : sequence->steps) {
    const auto* const resume = std::get_if<Resume>(&step.op);
    const Outcome outcome = model->apply(step);
    if (outcome.progression != Progression::kParked) continue;
    const ActorId who = resume != nullptr ? resume->target : step.actor;
    if (who != actor) continue;
    stops.emplace_back(model::name_of(model->kernel().scheduler.actor(actor_slot(actor)).point));
  }
  return stops;
}

TEST(ModelDocument, StopsWhereItsFirstWalkSays) {
  const std::string text = document();
  const std::size_t first = text.find("## First walk");
  const std::size_t second = text.find("## Second walk");
  ASSERT_LT(first, second);
  EXPECT_EQ(points_in(std::string_view(text).substr(first, second - first)),
            stops_of("corpora/regressions/walk_page_state_change.ops",
                     {.kind = ActorKind::kVcpu, .index = 0}));
}

TEST(ModelDocument, NamesCommandsThatWork) {
  const TestFolder folder(::testing::TempDir() + "sluice_model_doc_test_works");
  std::size_t commands = 0;
  for (const Block& block : blocks_of(document())) {
    for (const std::string& span : spans_of(block, "`", "`")) {
      if (block.listing || !span.starts_with(kTool)) continue;
      ++commands;
      const Answer answer = sluice(folder, span.substr(kTool.size()));
      EXPECT_EQ(answer.status, 0) << span << "\n" << answer.text;
    }
  }
  EXPECT_GE(commands, 1u);
}

}  // namespace
}  // namespace sluice::tool
