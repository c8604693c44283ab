#ifndef BENCH_COPY_H
#define BENCH_COPY_H

// 16 KiB of a machine's memory, read and written as the library does it for a request, and the same
// bytes by memcpy.

#include <stdint.h>

struct copy;

// A machine of the default target in which 4 KiB pages that follow each other in the linear space
// lie in reverse order in guest-physical memory.
struct copy *copy_new(void);
void copy_free(struct copy *copy);

// All take a struct copy. Four pages, each time other ones, are read into one buffer or written
// from it: through the page tables, and by a memcpy for each page.
void copy_repeat_read(void *context, uint64_t times);
void copy_repeat_memcpy(void *context, uint64_t times);
void copy_repeat_write(void *context, uint64_t times);
void copy_repeat_memcpy_back(void *context, uint64_t times);

#endif
