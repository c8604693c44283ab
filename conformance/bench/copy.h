#ifndef BENCH_COPY_H
#define BENCH_COPY_H

// 16 KiB of a machine's memory, read as the library answers a request for it, and the same bytes by
// memcpy.

#include <stdint.h>

struct copy;

// A machine of the default target, four 4 KiB pages of which follow each other in the linear space
// and lie in reverse order in guest-physical memory.
struct copy *copy_new(void);
void copy_free(struct copy *copy);

// Reads the pages into a buffer, `times` times: with a page walk, and page by page with memcpy.
void copy_repeat_read(void *copy, uint64_t times);
void copy_repeat_memcpy(void *copy, uint64_t times);

#endif
