#include "platform/vm_statistics.h"

#include <fcntl.h>
#include <unistd.h>

namespace sluice::platform {

void fold_vm_statistics() {
  static const int file = ::open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  const auto written = ::pwrite(file, "1", 1, 0);
  static_cast<void>(written);  // a count that is a little off shows in the rows' spread
}

}  // namespace sluice::platform
