// For who wants to know in which order an operation takes its locks, and what it does in between.
#pragma once
#include "model/schedule/locks.h"

namespace sluice::model {

/// Told at once, inside the operation: it may look at the kernel, and change nothing.
class LockObserver {
 public:
  virtual void on_taken(LockId id, LockMode mode) = 0;
  virtual void on_let_go(LockId id) = 0;

 protected:
  ~LockObserver() = default;
};

}  // namespace sluice::model
