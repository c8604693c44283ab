#ifndef SIM_WALK_COMMAND_H
#define SIM_WALK_COMMAND_H

// `pulsim walk`: where an address leads in a target's initial state, and why, for people.

// Returns the exit code.
int walk_main(int argc, char **argv);

#endif
