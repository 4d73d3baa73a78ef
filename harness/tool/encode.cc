// sluice encode / decode: between the text form people read and the bytes fuzzers store.
#include <fmt/core.h>

#include <cstdio>

#include "ops/codec.h"
#include "ops/files.h"
#include "ops/text.h"
#include "tool/command.h"

namespace sluice::tool {
namespace {

/// To the file, or to stdout where none is named.
int deliver(const std::string& bytes, const std::string& out) {
  if (out.empty()) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    return kFine;
  }
  const auto written = write_file(out, bytes);
  return written ? kFine : complain(written.error());
}

int encode(const std::string& in, const std::string& out) {
  const auto sequence = read_sequence(in);
  if (!sequence) return complain(sequence.error());
  std::vector<std::uint8_t> bytes;
  encode_sequence(*sequence, bytes);
  return deliver(std::string(bytes.begin(), bytes.end()), out);
}

int decode(const std::string& in, const std::string& out) {
  const auto contents = read_file(in, kMaxEncodedBytes);
  if (!contents) return complain(contents.error());
  const std::vector<std::uint8_t> bytes(contents->begin(), contents->end());
  if (!has_current_version(bytes)) {
    return complain(
        fmt::format("{}: not the byte form of this version (its first byte is not {}); sequences "
                    "in text need no decoding",
                    in, int{kCodecVersion}));
  }
  Sequence sequence;
  decode_sequence(bytes, sequence);
  return deliver(format_text(sequence), out);
}

struct Files {
  std::string in{};
  std::string out{};
};

void add(CLI::App& app, const char* name, const char* description, Files& files,
         std::function<void()> run) {
  Command command(app, name, description);
  command.option("FILE", files.in, "The file to read").required();
  command.option("--out", files.out, "The file to write (default: standard output)");
  command.on_run(std::move(run));
}

}  // namespace

void add_encode(CLI::App& app, int& status) {
  static Files files;
  add(app, "encode", "Text of a sequence to the bytes that fuzzers store", files,
      [&status] { status = encode(files.in, files.out); });
}
void add_decode(CLI::App& app, int& status) {
  static Files files;
  add(app, "decode", "Bytes of a fuzzer to the text of their sequence", files,
      [&status] { status = decode(files.in, files.out); });
}

}  // namespace sluice::tool
