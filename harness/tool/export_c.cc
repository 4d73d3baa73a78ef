// sluice export-c: a sequence as a C program for /dev/kvm.
#include <fmt/core.h>

#include "ops/files.h"
#include "ops/text.h"
#include "run/export_run.h"
#include "tool/command.h"

namespace sluice::tool {
namespace {

struct Options {
  std::string in{}, out{}, profile{};
};

int export_file(const Options& options) {
  const auto sequence = read_sequence(options.in);
  if (!sequence) return complain(sequence.error());
  HostProfile host = run::export_profile(*sequence);
  if (!options.profile.empty()) {
    const auto text = read_file(options.profile, kMaxTextBytes);
    if (!text) return complain(text.error());
    const auto parsed = parse_profile(*text, options.profile);
    if (!parsed) return complain(parsed.error());
    host = *parsed;
  }
  const auto program = run::export_program(*sequence, host, options.in);
  if (!program) return complain(program.error());
  if (options.out.empty()) {
    fmt::print("{}", *program);
    return kFine;
  }
  const auto written = write_file(options.out, *program);
  return written ? kFine : complain(written.error());
}

}  // namespace

void add_export_c(CLI::App& app, int& status) {
  Command command(
      app, "export-c",
      "A sequence as a stand-alone C program for /dev/kvm: the same system calls, each answer "
      "beside the model's");
  static Options options;
  command.option("FILE", options.in, "A sequence").required();
  command.option("--out", options.out, "The file to write (default: standard output)");
  command.option("--profile", options.profile,
                 "The host whose model is asked, as 'sluice doctor --profile' writes it "
                 "(default: the sequence's kernel with nested paging, without SEV-SNP)");
  command.on_run([&status] { status = export_file(options); });
}

}  // namespace sluice::tool
