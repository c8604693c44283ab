#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

// What libFuzzer calls, and in its place replay_main.c. The name is libFuzzer's.

#include <stddef.h>
#include <stdint.h>

// Runs one case on the len bytes at bytes, which end where the caller's memory ends. Returns 0;
// aborts when an invariant of the code under test does not hold.
// NOLINTNEXTLINE(readability-identifier-naming)
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Ends the process with file and line when holds is false, in every build type.
#define FUZZ_REQUIRE(holds) ((holds) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #holds))

_Noreturn void fuzz_fail(const char *file, int line, const char *claim);

#endif
