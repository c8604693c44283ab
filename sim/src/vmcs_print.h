#ifndef SIM_VMCS_PRINT_H
#define SIM_VMCS_PRINT_H

// A CPU's VMCS as text for people: every field that the processor has.

#include <stdio.h>

#include "machine.h"

// Whether VM entry would take CPU `index`, and the first rule that it breaks; then the controls,
// bit by bit, the guest's state, the host's, and what the last VM exit has left.
void vmcs_print(FILE *out, struct machine *machine, unsigned index);

#endif
