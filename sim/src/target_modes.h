#ifndef SIM_TARGET_MODES_H
#define SIM_TARGET_MODES_H

#include "target.h"

// One target for each CPU and paging mode, made of the rows in sim/targets: target_real16 and so
// on.
#define MODE_TARGET(id) extern const struct target target_##id;
#include "modes/targets.def"

#endif
