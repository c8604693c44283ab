#ifndef SIM_SERVE_H
#define SIM_SERVE_H

// The command `pulsim serve`: reads its options and serves. Returns the exit code, or exits with 2
// when the command line is wrong. argv[0] is what usage messages call the program.
int serve_main(int argc, char **argv);

#endif
