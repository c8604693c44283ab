#ifndef MODES_PROGRAMS_H
#define MODES_PROGRAMS_H

#include <stddef.h>
#include <stdint.h>

// The bytes of a program of programs.S; NULL when there is none of this name.
const uint8_t *program_find(const char *name, size_t *out_len);

#endif
