// Reading the files of tests/data.
#ifndef VMX_MODEL_TESTS_RECORDED_H
#define VMX_MODEL_TESTS_RECORDED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmx_tests.h"

enum { RECORDED_LINE = 512 };

// Cuts the text before the next of `separators` off *cursor; NULL at the end.
static inline char *next_item(char **cursor, const char *separators)
{
    char *item = *cursor + strspn(*cursor, separators);
    size_t len = strcspn(item, separators);
    if (len == 0) {
        return NULL;
    }
    *cursor = item + len;
    if (**cursor != '\0') {
        *(*cursor)++ = '\0';
    }
    return item;
}

static inline uint64_t next_hex(char **cursor)
{
    const char *item = next_item(cursor, " \n");
    assert_non_null(item);
    return strtoull(item, NULL, 16);
}

// What a row expects: the item at the cursor, or the one behind "#", which is the manual's where
// the recording is wrong.
static inline const char *next_expected(char **cursor)
{
    const char *item = next_item(cursor, " \n");
    if (next_item(cursor, " \n") != NULL) {
        item = next_item(cursor, " \n");
    }
    assert_non_null(item);
    return item;
}

// Hands every line but the comments to `use`; the number of lines.
static inline unsigned read_recorded(const char *path, void (*use)(void *context, char *line),
                                     void *context)
{
    char line[RECORDED_LINE];
    unsigned count = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] != '#') {
            use(context, line);
            count++;
        }
    }
    (void)fclose(file);
    return count;
}

#endif
