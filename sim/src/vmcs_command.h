#ifndef SIM_VMCS_COMMAND_H
#define SIM_VMCS_COMMAND_H

// pulsim vmcs --target NAME|FILE.yaml [--cpu N]: prints a CPU's VMCS as the target starts with it.
int vmcs_main(int argc, char **argv);

#endif
