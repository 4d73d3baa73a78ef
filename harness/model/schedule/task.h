// Task<T>: the coroutine type of an operation that can be stopped at interleaving points.
//
// Rules (decisions 7 and 8; ci/check-layers lints the second one):
// * A task is a free function whose first parameter is a reference to something from which
//   `scheduler_of(x)` (found by argument-dependent lookup) gives the Scheduler: its frame comes
//   from that scheduler's arena, so that a warm machine allocates nothing.
// * One co_await per statement, only as `co_await x;`, `const T r = co_await f(...);`,
//   `co_return co_await f(...);`: g++-12 miscompiles other forms.
// * Parameters and the result are trivially copyable, or lvalue references to what outlives the
//   operation. Locals own nothing that matters: reset() destroys tasks in flight, and the journal
//   undoes what they did.
#pragma once
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "base/arena.h"

namespace sluice::model {

/// What a task ends with, as its promise keeps it. Task<void> ends with nothing.
template <class T>
class TaskResult {
  static_assert(std::is_trivially_copyable_v<T>, "a task's result must be trivially copyable");

 public:
  void return_value(T value) noexcept { value_ = value; }
  T result() const noexcept { return value_; }

 private:
  T value_{};
};
template <>
class TaskResult<void> {
 public:
  void return_void() const noexcept {}
  void result() const noexcept {}
};

/// Starts at once and runs to its first stop. Owns its frame: destroying it frees this frame and
/// those of the tasks it waits for. Thread: compatible. Cost: 5-10 ns and one arena block.
template <class T>
class [[nodiscard]] Task {
 public:
  class Promise : public TaskResult<T> {
   public:
    template <class First, class... Rest>
    static void* operator new(std::size_t bytes, First& first, Rest&&...) {
      Arena& arena = scheduler_of(first).arena();
      auto* const block = static_cast<std::byte*>(arena.take(bytes + kHeaderBytes));
      ::new (block) Arena* {&arena};
      return block + kHeaderBytes;
    }
    static void operator delete(void* frame, std::size_t bytes) {
      auto* const block = static_cast<std::byte*>(frame) - kHeaderBytes;
      (*std::launder(reinterpret_cast<Arena**>(block)))->give(block, bytes + kHeaderBytes);
    }

    Task get_return_object() noexcept {
      return Task(std::coroutine_handle<Promise>::from_promise(*this));
    }
    /// Eager: a lazy start with symmetric transfer overflowed the stack under g++-12 with ASan.
    std::suspend_never initial_suspend() const noexcept { return {}; }
    auto final_suspend() const noexcept { return AtEnd{}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

   private:
    friend class Task;
    static constexpr std::size_t kHeaderBytes = 16;  // keeps the frame's alignment
    struct AtEnd {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> task) const noexcept {
        const std::coroutine_handle<> waiting = task.promise().continuation_;
        return waiting ? waiting : std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    std::coroutine_handle<> continuation_{};
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool done() const { return handle_.done(); }
  /// Pre: done().
  T result() const { return handle_.promise().result(); }

  struct Awaiter {
    std::coroutine_handle<Promise> task;
    bool await_ready() const noexcept { return task.done(); }
    void await_suspend(std::coroutine_handle<> waiting) const noexcept {
      task.promise().continuation_ = waiting;
    }
    T await_resume() const noexcept { return task.promise().result(); }
  };
  Awaiter operator co_await() const noexcept { return {handle_}; }

 private:
  explicit Task(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

template <class P>
inline constexpr bool is_task_parameter =
    std::is_lvalue_reference_v<P> || std::is_trivially_copyable_v<P>;

}  // namespace sluice::model

/// The real parameter types are visible only here; a promise sees lvalues of the copies.
template <class T, class First, class... Rest>
struct std::coroutine_traits<sluice::model::Task<T>, First, Rest...> {
  static_assert(std::is_lvalue_reference_v<First>,
                "a task is a free function whose first parameter is a reference to its kernel");
  static_assert((sluice::model::is_task_parameter<Rest> && ...),
                "a task's parameters must be trivially copyable or lvalue references");
  using promise_type = typename sluice::model::Task<T>::Promise;
};
