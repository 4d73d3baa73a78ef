// How far long work has come, on stderr: one line that changes on a terminal, a line per tenth of
// the work elsewhere.
#pragma once
#include <cstdint>
#include <string>

namespace sluice::tool {

/// Thread: one. Cost of step(): a clock reading now and then.
class Progress {
 public:
  /// `what` is what is counted, in the plural. The clock starts here.
  Progress(std::uint64_t total, std::string what);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Now it seems to be so many, where that was not known from the start.
  void expect(std::uint64_t total) { total_ = total; }
  /// `done` so far.
  void step(std::uint64_t done);
  /// Takes the changing line away, before something else is printed.
  void clear();
  double seconds() const;

 private:
  std::uint64_t total_;
  std::string what_;
  std::uint64_t begin_ns_;
  std::uint64_t shown_ns_;
  std::uint64_t next_line_;
  bool terminal_;
  bool dirty_ = false;
};

/// "12000 of 100000 sequences, 431 a second, 3 min 24 s left".
std::string progress_line(std::uint64_t done, std::uint64_t total, const std::string& what,
                          double seconds);

}  // namespace sluice::tool
