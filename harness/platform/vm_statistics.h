// The kernel's counters of memory events, as far as they change what a system call costs.
#pragma once

namespace sluice::platform {

/// Adds the counts that each CPU of this machine keeps back to the machine's. A CPU adds its own
/// once some ten have come together, so that of two equal calls one pays for the addition and the
/// other does not; right after this, both start from none. Does nothing where the caller may not
/// (not root) or the kernel cannot. Cost: a wait for a worker on each CPU.
/// Source: Linux mm/vmstat.c, vmstat_refresh() and __mod_node_page_state().
void fold_vm_statistics();

}  // namespace sluice::platform
