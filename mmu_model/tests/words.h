// The words of a line of recorded data.
#ifndef MMU_MODEL_TESTS_WORDS_H
#define MMU_MODEL_TESTS_WORDS_H

#include <stdint.h>

// The next word of the line, which is cut out of it; "" at the end.
char *take_word(char **cursor);

// The next word as a hexadecimal number; it must be one.
uint64_t take_hex(char **cursor);

#endif
