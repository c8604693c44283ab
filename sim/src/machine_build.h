#ifndef SIM_MACHINE_BUILD_H
#define SIM_MACHINE_BUILD_H

#include "machine.h"

// Makes memory and CPUs of machine->target. NULL, or why not, as static text; then machine_free
// takes what there is.
const char *machine_build(struct machine *machine);

#endif
