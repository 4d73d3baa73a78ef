#include "tool/lane_guest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tool/programs.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kPoll = std::chrono::milliseconds(50);

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Copies what a growing file gained since the last call to stdout, without our own lines.
class Tail {
 public:
  Tail(std::string path, std::string token) : path_(std::move(path)), token_(std::move(token)) {}
  void copy() {
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(seen_));
    std::ostringstream text;
    text << file.rdbuf();
    const std::string piece = text.str();
    seen_ += piece.size();
    const std::string shown = visible_output(piece, token_, rest_);
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    std::fflush(stdout);
  }

 private:
  std::string path_, token_;
  std::string rest_{};
  std::size_t seen_ = 0;
};

/// True if the emulator ended by itself before the limit.
bool wait_for_end(const Running& running, const GuestOptions& options) {
  Tail tail(options.out + "/output.log", options.token);
  const auto until = Clock::now() + options.limit;
  bool ended = false;
  while (!ended && Clock::now() < until) {
    std::this_thread::sleep_for(kPoll);
    ended = has_ended(running);
    if (options.show) tail.copy();
  }
  return ended;
}

bool says_yes(const char* path) {
  const std::string text = slurp(path);
  return text.starts_with('1') || text.starts_with('Y');
}

}  // namespace

std::vector<std::string> qemu_command(const GuestOptions& options) {
  const bool kvm = options.accelerator == Accelerator::kKvm;
  // The emulator ends with us, however we end.
  std::vector<std::string> command{"setpriv", "--pdeathsig", "TERM", "qemu-system-x86_64"};
  const auto add = [&command](std::initializer_list<std::string> words) {
    command.insert(command.end(), words);
  };
  const char* const emulated = options.icount ? "tcg,thread=single" : "tcg";
  add({"-accel", kvm ? "kvm" : emulated, "-cpu", kvm ? "host" : "max"});
  std::string append = "console=ttyS0 quiet panic=-1 oops=panic";
  if (options.icount) {
    add({"-icount", "shift=0,sleep=off", "-rtc", "clock=vm,base=2026-01-01"});
    append += " clocksource=tsc tsc=reliable nokaslr";
  }
  if (!options.append.empty()) append += " " + options.append;
  add({"-nodefaults", "-display", "none", "-no-reboot", "-m",
       fmt::format("{}M", options.memory_mib)});
  add({"-serial", "file:" + options.out + "/console.log"});
  add({"-serial", "file:" + options.out + "/output.log"});
  add({"-kernel", options.kernel, "-initrd", options.initramfs});
  add({"-append", append});
  add({"-virtfs",
       fmt::format("local,path={}/files,mount_tag=lane,security_model=none", options.out)});
  if (!options.numa) {
    add({"-smp", "1"});
    return command;
  }
  add({"-smp", "2"});
  for (const int node : {0, 1}) {
    add({"-object", fmt::format("memory-backend-ram,id=m{},size={}M", node, options.memory_mib / 2),
         "-numa", fmt::format("node,nodeid={0},cpus={0},memdev=m{0}", node)});
  }
  add({"-numa", "dist,src=0,dst=1,val=21"});
  return command;
}

Expected<GuestResult> boot_guest(const GuestOptions& options) {
  std::error_code error;
  fs::create_directories(options.out + "/files", error);
  if (error)
    return input_error(fmt::format("{}: cannot be made: {}", options.out, error.message()));
  for (const char* const log : {"/console.log", "/output.log", "/qemu.log"})
    fs::remove(options.out + log, error);
  const auto begin = Clock::now();
  auto running = start_program(qemu_command(options), {.output_file = options.out + "/qemu.log"});
  if (!running) return std::unexpected(running.error());
  const bool left = wait_for_end(*running, options);
  if (!left) ::kill(running->pid, SIGKILL);
  const auto finished = finish_program(std::move(*running));
  if (!finished) return std::unexpected(finished.error());
  GuestResult result;
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  result.output = slurp(options.out + "/output.log");
  const std::string console = slurp(options.out + "/console.log");
  const EmulatorEnd end = !left                   ? EmulatorEnd::kStopped
                          : finished->status == 0 ? EmulatorEnd::kLeft
                                                  : EmulatorEnd::kFailed;
  result.reading = read_transcript(
      {.lines = result.output, .console = console, .token = options.token, .emulator = end});
  return result;
}

std::string why_not_kvm() {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return "/dev/kvm cannot be opened";
  if (says_yes("/sys/module/kvm_amd/parameters/nested") ||
      says_yes("/sys/module/kvm_intel/parameters/nested"))
    return {};
  return "this host's KVM does not nest (no module with parameter nested=1)";
}

}  // namespace sluice::tool
