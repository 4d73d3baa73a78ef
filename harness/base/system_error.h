// The environment said no: an errno and what was tried. Returned in std::expected; we throw
// nothing.
#pragma once
#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace sluice {

struct [[nodiscard]] SystemError {
  int number = 0;      // errno; 0 where the fault is not the system's (bad input)
  std::string what{};  // what was tried, with its object: "open /dev/kvm"

  std::string message() const { return number == 0 ? what : what + ": " + std::strerror(number); }
};

template <class T>
using Expected = std::expected<T, SystemError>;

/// The error for a call that has just failed and set errno.
inline std::unexpected<SystemError> system_error(std::string what) {
  return std::unexpected(SystemError{.number = errno, .what = std::move(what)});
}
inline std::unexpected<SystemError> input_error(std::string what) {
  return std::unexpected(SystemError{.number = 0, .what = std::move(what)});
}

}  // namespace sluice
