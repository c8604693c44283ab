#ifndef SIM_TESTS_TARGET_TEXT_H
#define SIM_TESTS_TARGET_TEXT_H

// Text as a target file, in a directory that holds it and a file of three bytes, bytes.bin.

#include <stddef.h>

#include "target_file.h"

#define HEAD "name: x\nbase: long64\n"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

extern char target_text_path[64]; // of the target file

// cmocka's fixture of a group.
int target_text_open(void **state);
int target_text_close(void **state);

// Writes and loads the target file; the second fails the test when there is an error.
struct target *target_text_load(const char *text, char *error, size_t error_size);
struct target *target_text_load_good(const char *text);

#endif
