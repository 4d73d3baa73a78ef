// Build step: turns the .ops files of directories into the inputs of one fuzz target, and writes
// its dictionary.   encode_corpus bytes|text OUT-DIRECTORY DICTIONARY DIRECTORY...
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "ops/codec.h"
#include "ops/files.h"
#include "ops/reflect.h"
#include "ops/text.h"

namespace {

using sluice::Expected;

std::string as_string(const std::vector<std::uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Directory parts become part of the name: two directories may hold the same name.
std::string flat_name(const std::string& path, const std::string& root) {
  std::string name = std::filesystem::path(path).lexically_relative(root).string();
  std::ranges::replace(name, '/', '.');
  const std::string last = std::filesystem::path(root).filename().string();
  return last + "." + name.substr(0, name.size() - std::string_view(".ops").size());
}

Expected<void> encode_file(const std::string& path, bool is_text, const std::string& out) {
  const auto sequence = sluice::read_sequence(path);
  if (!sequence) return std::unexpected(sequence.error());
  if (is_text) {
    const auto text = sluice::read_file(path, sluice::kMaxTextBytes);
    if (!text) return std::unexpected(text.error());
    return sluice::write_file(out, *text);
  }
  std::vector<std::uint8_t> bytes;
  sluice::encode_sequence(*sequence, bytes);
  return sluice::write_file(out, as_string(bytes));
}

/// One word as a dictionary line; everything but letters and digits escaped.
std::string dictionary_line(const std::string& word) {
  std::string out = "\"";
  for (const char c : word) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '=' || c == ' ' || c == '@' ||
                          c == '|' || c == '#';
    out += is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out + "\"\n";
}

/// Operations, fields with each of their names, header lines.
std::vector<std::string> text_words() {
  std::vector<std::string> words{"# scope: machine\n",
                                 "# kernel: 6.18\n",
                                 "# policy: gmem_order=2M\n",
                                 "@vmm1 ",
                                 "@vcpu0 ",
                                 " park=1",
                                 " => ok\n",
                                 "0xffffffffffffffff"};
  for (std::size_t index = 0; index < sluice::AllOps::kCount; ++index) {
    words.emplace_back(std::string(sluice::kOpInfo[index].name) + " ");
    for (const sluice::FieldInfo& field : sluice::fields_of(index)) {
      words.emplace_back(std::string(field.name) + "=");
      for (const sluice::NamedValue& value : field.domain->names) words.emplace_back(value.name);
    }
  }
  std::ranges::sort(words);
  const auto repeated = std::ranges::unique(words);
  words.erase(repeated.begin(), repeated.end());
  return words;
}

/// The bytes of each operation with its defaults.
std::vector<std::string> byte_words() {
  std::vector<std::string> words;
  sluice::Sequence sequence;
  sequence.header.scope = sluice::Scope::kMachine;
  std::vector<std::uint8_t> bytes;
  sluice::encode_sequence(sequence, bytes);
  const std::size_t header = bytes.size();
  for (std::size_t index = 0; index < sluice::AllOps::kCount; ++index) {
    const sluice::Op op = sluice::make_op(index);
    sequence.steps.assign(1, {.actor = sluice::default_actor(op), .op = op});
    sluice::encode_sequence(sequence, bytes);
    words.push_back(as_string(bytes).substr(header));
  }
  return words;
}

Expected<void> run(bool is_text, const std::string& out, const std::string& dictionary,
                   const std::vector<std::string>& roots) {
  std::string lines;
  for (const std::string& word : is_text ? text_words() : byte_words()) {
    lines += dictionary_line(word);
  }
  if (auto written = sluice::write_file(dictionary, lines); !written) return written;
  if (roots.empty()) {  // a target without seeds of its own starts from the empty sequence
    std::vector<std::uint8_t> bytes;
    sluice::encode_sequence({}, bytes);
    return sluice::write_file(out + "/empty", as_string(bytes));
  }
  for (const std::string& root : roots) {
    const auto files = sluice::find_sequences(std::vector<std::string>{root});
    if (!files) return std::unexpected(files.error());
    for (const std::string& file : *files) {
      const std::string target = out + "/" + flat_name(file, root) + (is_text ? ".ops" : "");
      if (auto done = encode_file(file, is_text, target); !done) return done;
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 3 || (arguments[0] != "bytes" && arguments[0] != "text")) {
    fmt::print(stderr, "usage: encode_corpus bytes|text OUT-DIRECTORY DICTIONARY DIRECTORY...\n");
    return 3;
  }
  const std::vector<std::string> roots(arguments.begin() + 3, arguments.end());
  const auto done = run(arguments[0] == "text", arguments[1], arguments[2], roots);
  if (!done) fmt::print(stderr, "encode_corpus: {}\n", done.error().message());
  return done ? 0 : 3;
}
