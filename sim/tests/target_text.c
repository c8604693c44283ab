#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target_text.h"

#define TEMPLATE "/tmp/target_text.XXXXXX"

static char directory[] = TEMPLATE;
static char bytes_path[64];
char target_text_path[64];

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(len, fwrite(text, 1, len, file));
    assert_int_equal(0, fclose(file));
}

int target_text_open(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(target_text_path, sizeof(target_text_path), "%s/target.yaml", directory);
    (void)snprintf(bytes_path, sizeof(bytes_path), "%s/bytes.bin", directory);
    write_file(bytes_path, "\x00\x01\x02", 3);
    return 0;
}

int target_text_close(void **state)
{
    (void)state;
    (void)unlink(target_text_path);
    (void)unlink(bytes_path);
    (void)rmdir(directory);
    (void)snprintf(directory, sizeof(directory), "%s", TEMPLATE);
    return 0;
}

struct target *target_text_load(const char *text, char *error, size_t error_size)
{
    write_file(target_text_path, text, strlen(text));
    return target_file_load(target_text_path, error, error_size);
}

struct target *target_text_load_good(const char *text)
{
    char error[256] = "";
    struct target *target = target_text_load(text, error, sizeof(error));
    assert_string_equal("", error);
    assert_non_null(target);
    return target;
}
