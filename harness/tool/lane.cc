// sluice lane: boots a kernel in an emulator, runs a command inside, and brings back what it wrote.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/hash.h"
#include "ops/files.h"
#include "platform/counters.h"
#include "tool/command.h"
#include "tool/lane_guest.h"
#include "tool/programs.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> command{};
  std::vector<std::string> add{};
  std::string kernel{}, modules{}, flavour = "stock", accel = "auto", out = "out/lane", append{};
  unsigned limit_seconds = 600;
  bool numa = false, icount = false;
};

/// A kernel to boot.
struct Kernel {
  std::string image{};
  std::string folder{};  // with `order` and modules/; empty: the kernel has all it needs built in
  std::string words{};   // for people
  std::string name{};    // for rows: the same kernel, the same name
};

/// The last line without its end.
std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  const std::size_t begin = text.rfind('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

constexpr std::size_t kMaxKernelBytes = std::size_t{1} << 30;

Expected<Kernel> own_image(const Options& options) {
  if (!fs::is_regular_file(options.kernel))
    return input_error(fmt::format(
        "--kernel {}: no such file; give a bzImage (arch/x86/boot/bzImage of a kernel's build), or "
        "leave it out for Debian's",
        options.kernel));
  const auto bytes = read_file(options.kernel, kMaxKernelBytes);
  if (!bytes) return std::unexpected(bytes.error());
  Hash hash;
  hash.add_text(*bytes);
  Kernel kernel{.image = fs::absolute(options.kernel).string(),
                .words = options.kernel,
                .name = fmt::format("kernel-{:016x}", hash.value())};
  if (options.modules.empty()) return kernel;
  if (!fs::is_regular_file(fs::path(options.modules) / "order"))
    return input_error(
        fmt::format("--modules {}: no file 'order' in it; 'ci/lane/modules' makes such a folder",
                    options.modules));
  kernel.folder = fs::absolute(options.modules).string();
  return kernel;
}

/// Takes Debian's kernel, or builds one: ci/lane/kernel says on stderr what it does.
Expected<Kernel> find_kernel(const Options& options, const std::string& scripts) {
  if (!options.kernel.empty()) return own_image(options);
  const auto made = run_program({scripts + "/kernel", options.flavour}, {.capture = true});
  if (!made) return std::unexpected(made.error());
  if (made->status != 0)
    return input_error(
        fmt::format("no kernel of flavour '{}' here: its reason stands above", options.flavour));
  const std::string folder = last_line(made->out);
  return Kernel{.image = folder + "/bzImage",
                .folder = folder,
                .words = options.flavour,
                .name = fs::path(folder).filename().string()};
}

/// 'it''s' as a shell reads it.
std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

/// A name that no output of the command can guess.
std::string new_token() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

struct Boot {
  const Options& options;
  const std::string& scripts;
  const Kernel& kernel;
};

/// What goes into the guest: this program, the benchmarks where they are built, corpora, and what
/// the user adds.
std::vector<std::string> suite(const Options& options, const std::string& scripts) {
  std::vector<std::string> paths{"/proc/self/exe"};
  std::error_code error;
  paths[0] = fs::read_symlink(paths[0], error).string();
  for (const char* const name : {"sluice_bench_model", "sluice_bench_kvm"}) {
    if (const auto program = find_program(name)) paths.push_back(*program);
  }
  if (const auto program = platform::find_counterd()) paths.push_back(*program);
  paths.push_back(fs::path(scripts).parent_path().parent_path() / "corpora");
  paths.insert(paths.end(), options.add.begin(), options.add.end());
  return paths;
}

/// What the guest's rows say of it (platform/fingerprint.h): which kernel, emulated or not.
std::string machine_of(const Boot& boot, const GuestOptions& guest) {
  std::string text = boot.kernel.name;
  text += guest.accelerator == Accelerator::kKvm ? ", KVM in KVM" : ", TCG";
  if (guest.icount) text += ", clock counts instructions";
  if (guest.numa) text += ", two nodes";
  return text;
}

/// Packs the guest's root for one command; `limit` is the command's.
Expected<std::string> pack(const Boot& boot, const std::vector<std::string>& command,
                           const std::vector<std::string>& paths, GuestOptions& guest) {
  const std::string settings = guest.out + "/settings", script = guest.out + "/command";
  std::error_code error;
  fs::create_directories(guest.out, error);
  guest.token = new_token();
  // A clock of instructions runs ahead while the guest waits for the host (a file in /out): then
  // only the host's clock can say that the command had its time.
  constexpr unsigned kOneDay = 86400;
  const unsigned limit = guest.icount ? kOneDay : boot.options.limit_seconds;
  const auto written =
      write_file(settings, fmt::format("token={}\nlimit={}\nmachine={}\n", guest.token, limit,
                                       quoted(machine_of(boot, guest))));
  if (!written) return std::unexpected(written.error());
  std::string line = "exec";
  for (const std::string& word : command) line += " " + quoted(word);
  if (const auto put = write_file(script, line + "\n"); !put) return std::unexpected(put.error());
  const std::string image = guest.out + "/initramfs.cpio.gz";
  std::vector<std::string> packer{boot.scripts + "/initramfs", image, boot.kernel.folder, settings,
                                  script};
  packer.insert(packer.end(), paths.begin(), paths.end());
  const auto packed = run_program(packer);
  if (!packed) return std::unexpected(packed.error());
  if (packed->status != 0) return input_error("the guest's root could not be packed (see above)");
  return image;
}

/// Whether the host's KVM carries such a machine is found out by booting one.
Expected<std::string> why_emulate(const Boot& boot, const GuestOptions& like) {
  if (std::string reason = why_not_kvm(); !reason.empty()) return reason;
  GuestOptions trial = like;
  trial.out = like.out + "/kvm-trial";
  trial.accelerator = Accelerator::kKvm;
  trial.limit = std::chrono::seconds(30);
  trial.show = false;
  const auto image = pack(boot, {"test", "-e", "/dev/kvm"}, {}, trial);
  if (!image) return std::unexpected(image.error());
  trial.initramfs = *image;
  const auto tried = boot_guest(trial);
  if (!tried) return std::unexpected(tried.error());
  if (status_of(tried->reading) == kFine) return std::string();
  return "a trial boot under KVM failed: " + describe(tried->reading);
}

Expected<Accelerator> choose_accelerator(const Boot& boot, const GuestOptions& guest) {
  if (boot.options.accel == "kvm") return Accelerator::kKvm;
  if (boot.options.accel == "tcg" || boot.options.icount) return Accelerator::kTcg;
  const auto reason = why_emulate(boot, guest);
  if (!reason) return std::unexpected(reason.error());
  if (reason->empty()) return Accelerator::kKvm;
  fmt::print(stderr, "lane: emulating the processor (TCG): {}\n", *reason);
  return Accelerator::kTcg;
}

void report(const GuestResult& result, const Kernel& kernel, const GuestOptions& guest) {
  for (const std::string& alarm : result.reading.alarms)
    fmt::print(stderr, "lane: the kernel said: {}\n", alarm);
  const bool in_kvm = guest.accelerator == Accelerator::kKvm;
  fmt::print(stderr, "lane: {} ({}, {}): {} ({:.1f} s; console.log, output.log and files/ in {})\n",
             kernel.words,
             result.reading.release.empty() ? "release unknown" : result.reading.release,
             in_kvm ? "KVM" : "TCG", describe(result.reading), result.seconds, guest.out);
}

int lane(const Options& options) {
  if (options.icount && (options.numa || options.accel == "kvm"))
    return complain("--icount is for one emulated processor: leave out --numa and --accel kvm");
  const auto scripts = find_scripts("ci/lane/kernel");
  if (!scripts) return complain(scripts.error());
  const auto kernel = find_kernel(options, *scripts);
  if (!kernel) return complain(kernel.error());
  const Boot boot{.options = options, .scripts = *scripts, .kernel = *kernel};
  // The machine gets time to boot and to say that the command had too little.
  constexpr unsigned kBootAndGrace = 60;
  GuestOptions guest{.kernel = kernel->image,
                     .out = fs::absolute(options.out).lexically_normal().string(),
                     .append = options.append,
                     .numa = options.numa,
                     .icount = options.icount,
                     .limit = std::chrono::seconds(options.limit_seconds + kBootAndGrace)};
  const auto accelerator = choose_accelerator(boot, guest);
  if (!accelerator) return complain(accelerator.error());
  guest.accelerator = *accelerator;
  const auto image = pack(boot, options.command, suite(options, *scripts), guest);
  if (!image) return complain(image.error());
  guest.initramfs = *image;
  const auto result = boot_guest(guest);
  if (!result) return complain(result.error());
  report(*result, *kernel, guest);
  return status_of(result->reading);
}

}  // namespace

void add_lane(CLI::App& app, int& status) {
  Command command(
      app, "lane",
      "Boot a kernel in an emulator (QEMU) and run COMMAND inside, with this suite in the guest's "
      "PATH, corpora/ in its folder, and /out for files that come back to DIR/files.\n"
      "Status: the command's own; 1 also where the guest's kernel dies, hangs or complains; 2 "
      "where "
      "the command does not end in its time; 3 where the guest cannot be started.");
  static Options options;
  command.option("COMMAND", options.command, "What the guest runs, behind --").required();
  command.option("--kernel", options.kernel,
                 "A bzImage of your own (what it must have: ci/lane/configs/base.config)");
  command.option("--modules", options.modules,
                 "Folder with the modules of --kernel that the lane needs, made by "
                 "ci/lane/modules; not needed where they are built in");
  command
      .option("--flavour", options.flavour,
              "Without --kernel: stock (default): Debian's 6.12 | cost: own build, nothing "
              "for debugging | cov: coverage of KVM | check: KASAN, lockdep, PROVE_MMU")
      .one_of({"stock", "cost", "cov", "check"});
  command
      .option("--accel", options.accel,
              "auto (default): KVM where a trial boot works, else TCG, saying why | kvm | tcg")
      .one_of({"auto", "kvm", "tcg"});
  command.flag("--numa", options.numa, "Two processors on two NUMA nodes");
  command.flag("--icount", options.icount,
               "The guest's clock counts executed instructions, 1 ns each, not time: exact "
               "costs, the same on every machine");
  command
      .option("--add", options.add,
              "More for the guest: a program goes to its PATH with its libraries, anything "
              "else to its folder (repeatable)")
      .one_value_each()
      .existing_path();
  command.option("--append", options.append, "More words for the kernel's command line");
  command.option("--limit", options.limit_seconds, "Seconds that the command gets (600)")
      .between(1, 86400);
  command.option("--out", options.out, "Folder for logs and files (out/lane)");
  command.positionals_at_end();
  command.on_run([&status] { status = lane(options); });
}

}  // namespace sluice::tool
