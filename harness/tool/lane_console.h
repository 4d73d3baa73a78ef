// What became of a lane's guest, read from what it left behind: the lines of ci/lane/init and the
// kernel's console. A guest that died, hangs or says nothing is a result like any other.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tool {

/// How the emulator's own process ended.
enum class EmulatorEnd {
  kLeft,     // by itself, as it does when the guest reboots
  kStopped,  // by us: the guest had its time and more
  kFailed,   // with an error of its own: it could not start the machine
};

enum class LaneEnd {
  kStatus,      // the command ended, with a status
  kOutlived,    // the command did not end in its time; the guest's kernel was alive to say so
  kSetUp,       // the guest lacks what the lane needs of it (reason)
  kPanicked,    // the kernel said so
  kDied,        // the machine stopped after the command began, without a closing line
  kHung,        // the guest began and then said nothing, and was stopped
  kNeverBegan,  // not one line of ours: the kernel does not boot, or has no console
  kNoEmulator,  // the emulator failed
};

struct LaneReading {
  LaneEnd end = LaneEnd::kNeverBegan;
  int command_status = 0;             // kStatus
  std::string release{};              // uname -r of the guest; empty if it never began
  std::string reason{};               // kSetUp: what is missing; kPanicked: the kernel's line
  std::vector<std::string> alarms{};  // the kernel's reports of its own mistakes (warnings, BUG,
                                      // KASAN, lockdep) after the command began
};

struct LaneTranscript {
  std::string_view lines{};    // ttyS1: the command's output between our lines
  std::string_view console{};  // ttyS0
  std::string_view token{};    // of this run: no output can pretend to be our line
  EmulatorEnd emulator = EmulatorEnd::kLeft;
};

/// Never fails: what cannot be understood is kDied, kHung or kNeverBegan.
LaneReading read_transcript(const LaneTranscript& transcript);

/// The exit status of `sluice lane` (command.h): a status of the command above 3 and everything
/// that a kernel does wrong is kFinding; a command out of time kInconclusive; a guest that never
/// came as far kUsage.
int status_of(const LaneReading& reading);

/// One line for people, without newline: "the command ended with status 0".
std::string describe(const LaneReading& reading);

/// Output with our own lines taken out, up to the last whole line: what a user sees. `rest` keeps
/// what is not a whole line yet, between calls.
std::string visible_output(std::string_view piece, std::string_view token, std::string& rest);

}  // namespace sluice::tool
