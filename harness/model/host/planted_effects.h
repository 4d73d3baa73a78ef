// What planted bugs do beside the kernel's own work: code that no kernel has, kept out of the files
// that follow it. A normal build has none of it.
#pragma once
#include "model/host/fault.h"
#include "model/host/kernel.h"
#include "model/planted.h"

namespace sluice::model {

#ifdef SLUICE_PLANTED
/// To the first page of a slot that a conversion has made shared.
void plant_in_conversion(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn);
/// To a conversion that was checked; answers what is said of it.
Check plant_in_refusal(Kernel& k, Vm& vm, const GfnRange& range, bool to_private, Check check);
/// Beside a fault's leaf.
void plant_in_install(Kernel& k, Vm& vm, const Vcpu& vcpu, const PageFault& fault);
#else
inline void plant_in_conversion(Kernel&, Vm&, const Memslot&, Gfn) {}
inline Check plant_in_refusal(Kernel&, Vm&, const GfnRange&, bool, Check check) { return check; }
inline void plant_in_install(Kernel&, Vm&, const Vcpu&, const PageFault&) {}
#endif

}  // namespace sluice::model
