#include "target_bytes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target_yaml.h"

enum { MAX_SIZE = 1 << 28 };

static const char out_of_memory[] = "out of memory";
static const char too_long[] = "more than 256 MiB";

// Room for len bytes; a length of 0 is not refused here.
static bool allocate(struct target_bytes *bytes, size_t len)
{
    bytes->bytes = calloc(len + 1, 1);
    bytes->len = len;
    return bytes->bytes != NULL;
}

static const char *from_text(const char *text, struct target_bytes *out)
{
    if (!allocate(out, strlen(text))) {
        return out_of_memory;
    }
    memcpy(out->bytes, text, out->len);
    return NULL;
}

static const char *from_fill(uint8_t byte, uint64_t size, struct target_bytes *out)
{
    if (size == 0) {
        return "fill needs a size";
    }
    if (size > MAX_SIZE) {
        return too_long;
    }
    if (!allocate(out, (size_t)size)) {
        return out_of_memory;
    }
    memset(out->bytes, byte, out->len);
    return NULL;
}

static const char *from_quads(const uint64_t *quads, size_t count, struct target_bytes *out)
{
    if (!allocate(out, 8 * count)) {
        return out_of_memory;
    }
    for (size_t i = 0; i < out->len; i++) {
        out->bytes[i] = (uint8_t)(quads[i / 8] >> 8 * (i % 8));
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Pairs of digits, with white space between them as one likes.
static bool decode_hex(const char *hex, struct target_bytes *out)
{
    while (true) {
        hex += strspn(hex, " \t\r\n");
        if (*hex == '\0') {
            return true;
        }
        int high = hex_digit(hex[0]);
        int low = high < 0 ? -1 : hex_digit(hex[1]);
        if (low < 0) {
            return false;
        }
        out->bytes[out->len++] = (uint8_t)(high << 4 | low);
        hex += 2;
    }
}

static const char *from_hex(const char *hex, struct target_bytes *out)
{
    if (!allocate(out, strlen(hex) / 2)) {
        return out_of_memory;
    }
    out->len = 0;
    if (!decode_hex(hex, out)) {
        free(out->bytes);
        return "hex is pairs of hexadecimal digits";
    }
    return NULL;
}

static const char *from_open_file(FILE *file, struct target_bytes *out)
{
    if (fseek(file, 0, SEEK_END) != 0) {
        return strerror(errno);
    }
    long size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0) {
        return strerror(errno);
    }
    if (size > MAX_SIZE) {
        return too_long;
    }
    if (!allocate(out, (size_t)size)) {
        return out_of_memory;
    }
    if (fread(out->bytes, 1, out->len, file) != out->len) {
        free(out->bytes);
        return "the file cannot be read";
    }
    return NULL;
}

static const char *from_file(const char *name, const char *beside, struct target_bytes *out)
{
    const char *slash = strrchr(beside, '/');
    size_t directory_len = slash != NULL && name[0] != '/' ? (size_t)(slash - beside) + 1 : 0;
    char *path = malloc(directory_len + strlen(name) + 1);
    if (path == NULL) {
        return out_of_memory;
    }
    memcpy(path, beside, directory_len);
    memcpy(path + directory_len, name, strlen(name) + 1);
    FILE *file = fopen(path, "rb");
    free(path);
    if (file == NULL) {
        return strerror(errno);
    }
    const char *reason = from_open_file(file, out);
    (void)fclose(file);
    return reason;
}

static const char *one_source(const struct yaml_load *load)
{
    int count = (load->file != NULL) + (load->hex != NULL) + (load->text != NULL) +
                (load->quads != NULL) + (load->fill != NULL);
    if (count != 1) {
        return "one of file, hex, text, quads and fill says what to load";
    }
    return load->size != 0 && load->fill == NULL ? "size goes with fill" : NULL;
}

const char *target_bytes_make(const struct yaml_load *load, const char *beside,
                              struct target_bytes *out, const char **out_key)
{
    struct target_bytes made = {.len = 0};
    *out_key = NULL;
    const char *reason = one_source(load);
    if (reason != NULL) {
        return reason;
    }
    if (load->file != NULL) {
        *out_key = "file";
        reason = from_file(load->file, beside, &made);
    }
    if (load->hex != NULL) {
        *out_key = "hex";
        reason = from_hex(load->hex, &made);
    }
    if (load->text != NULL) {
        *out_key = "text";
        reason = from_text(load->text, &made);
    }
    if (load->quads != NULL) {
        *out_key = "quads";
        reason = from_quads(load->quads, load->quads_count, &made);
    }
    if (load->fill != NULL) {
        *out_key = load->size == 0 ? "fill" : "size";
        reason = from_fill(*load->fill, load->size, &made);
    }
    if (reason == NULL) {
        *out = made;
    }
    return reason;
}
