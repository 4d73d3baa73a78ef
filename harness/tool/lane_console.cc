#include "tool/lane_console.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "tool/command.h"

namespace sluice::tool {
namespace {

constexpr std::string_view kMark = "SLUICE-LANE ";
constexpr std::size_t kMaxAlarms = 20;

/// Calls `use` for every line, without its end.
template <class Use>
void each_line(std::string_view text, Use&& use) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    use(line);
  }
}

/// What stands behind our mark and the run's token; nothing if the line is not ours.
std::optional<std::string_view> own_words(std::string_view line, std::string_view token) {
  if (!line.starts_with(kMark)) return std::nullopt;
  line.remove_prefix(kMark.size());
  if (!line.starts_with(token) || line.substr(token.size(), 1) != " ") return std::nullopt;
  return line.substr(token.size() + 1);
}

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "end status 0", "end outlived", "end setup no-9p". False for anything else.
bool take_closing(std::string_view words, LaneReading& reading) {
  constexpr std::string_view kStatus = "end status ", kSetUp = "end setup ";
  if (words.starts_with(kStatus)) {
    const auto status = number_of(words.substr(kStatus.size()));
    if (!status) return false;
    reading.end = LaneEnd::kStatus;
    reading.command_status = *status;
    return true;
  }
  if (words.starts_with(kSetUp)) {
    reading.end = LaneEnd::kSetUp;
    reading.reason = words.substr(kSetUp.size());
    return true;
  }
  if (words != "end outlived") return false;
  reading.end = LaneEnd::kOutlived;
  return true;
}

/// The kernel's console stamps its lines: "[    1.234567] text".
std::string_view without_stamp(std::string_view line) {
  if (!line.starts_with('[')) return line;
  const std::size_t end = line.find("] ");
  return end == std::string_view::npos ? line : line.substr(end + 2);
}

bool is_alarm(std::string_view text) {
  constexpr std::array<std::string_view, 9> kBegins{
      "WARNING: ",      "BUG: ",   "Oops: ",      "general protection fault",
      "kernel BUG at ", "UBSAN: ", "INFO: task ", "Kernel panic",
      "watchdog: BUG"};
  return std::ranges::any_of(kBegins, [text](std::string_view b) { return text.starts_with(b); });
}

void read_console(std::string_view console, LaneReading& reading) {
  bool began = false;
  each_line(console, [&](std::string_view line) {
    const std::string_view text = without_stamp(line);
    if (text.starts_with("sluice-lane: begin")) began = true;
    // The first line says what happened; the panic's own comes last.
    if (text.starts_with("Kernel panic") && reading.end != LaneEnd::kPanicked) {
      reading.end = LaneEnd::kPanicked;
      reading.reason = text;
    }
    if (began && is_alarm(text) && reading.alarms.size() < kMaxAlarms) {
      reading.alarms.emplace_back(text);
    }
  });
}

}  // namespace

LaneReading read_transcript(const LaneTranscript& transcript) {
  LaneReading reading;
  bool began = false, closed = false;
  each_line(transcript.lines, [&](std::string_view line) {
    const auto words = own_words(line, transcript.token);
    if (!words) return;
    if (words->starts_with("begin ")) {
      began = true;
      reading.release = words->substr(6);
    }
    closed = take_closing(*words, reading) || closed;
  });
  if (!closed) {
    reading.end = began ? LaneEnd::kDied : LaneEnd::kNeverBegan;
    if (began && transcript.emulator == EmulatorEnd::kStopped) reading.end = LaneEnd::kHung;
    if (!began && transcript.emulator == EmulatorEnd::kFailed) reading.end = LaneEnd::kNoEmulator;
  }
  read_console(transcript.console, reading);
  return reading;
}

int status_of(const LaneReading& reading) {
  switch (reading.end) {
    case LaneEnd::kPanicked:
    case LaneEnd::kDied:
    case LaneEnd::kHung:
      return kFinding;
    case LaneEnd::kSetUp:
    case LaneEnd::kNeverBegan:
    case LaneEnd::kNoEmulator:
      return kUsage;
    case LaneEnd::kOutlived:
      return reading.alarms.empty() ? kInconclusive : kFinding;
    case LaneEnd::kStatus:
      break;
  }
  constexpr int kNotExecutable = 126, kNotFound = 127;
  if (!reading.alarms.empty()) return kFinding;
  if (reading.command_status == kNotExecutable || reading.command_status == kNotFound)
    return kUsage;
  return reading.command_status <= kUsage ? reading.command_status : kFinding;
}

std::string describe(const LaneReading& reading) {
  switch (reading.end) {
    case LaneEnd::kStatus: {
      std::string text = fmt::format("the command ended with status {}", reading.command_status);
      if (!reading.alarms.empty())
        text += fmt::format("; the kernel complained {} time(s)", reading.alarms.size());
      return text;
    }
    case LaneEnd::kOutlived:
      return "the command did not end in its time; the console log has the kernel's list of "
             "blocked tasks";
    case LaneEnd::kSetUp:
      return fmt::format(
          "the guest is not fit for the lane: {} (ci/lane/configs/base.config lists "
          "what a kernel needs)",
          reading.reason);
    case LaneEnd::kPanicked:
      return fmt::format("the guest's kernel died: {}", reading.reason);
    case LaneEnd::kDied:
      return "the guest's machine stopped without a closing line: its kernel died without a word";
    case LaneEnd::kHung:
      return "the guest hung: it began and never came to its closing line";
    case LaneEnd::kNeverBegan:
      return "the guest never came to its first line: the kernel does not boot here, or lacks a "
             "serial console or initramfs support (ci/lane/configs/base.config lists what it "
             "needs)";
    case LaneEnd::kNoEmulator:
      return "the emulator could not start the machine";
  }
  return {};
}

std::string visible_output(std::string_view piece, std::string_view token, std::string& rest) {
  rest += piece;
  const std::size_t end = rest.rfind('\n');
  if (end == std::string::npos) return {};
  std::string out;
  each_line(std::string_view(rest).substr(0, end), [&](std::string_view line) {
    if (!own_words(line, token)) out.append(line).push_back('\n');
  });
  rest.erase(0, end + 1);
  return out;
}

}  // namespace sluice::tool
