#include "modes/programs.h"

#include <string.h>

#define PROGRAM(name)                                                                              \
    extern const uint8_t program_##name[];                                                         \
    extern const uint64_t program_##name##_len;
#include "modes/programs.def"

const uint8_t *program_find(const char *name, size_t *out_len)
{
#define PROGRAM(program)                                                                           \
    if (strcmp(name, #program) == 0) {                                                             \
        *out_len = program_##program##_len;                                                        \
        return program_##program;                                                                  \
    }
#include "modes/programs.def"
    return NULL;
}
