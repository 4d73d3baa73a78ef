#include "model/planted.h"

namespace sluice::model {

#ifdef SLUICE_PLANTED
PlantedSwitches& planted_switches() {
  static PlantedSwitches switches;
  return switches;
}
#endif

}  // namespace sluice::model
