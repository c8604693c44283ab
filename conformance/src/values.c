#include "values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool buffer_reserve(struct buffer *buffer, uint64_t len)
{
    buffer->bytes = len <= BUFFER_MAX ? calloc(1, len > 0 ? len : 1) : NULL;
    buffer->len = buffer->bytes != NULL ? len : 0;
    return buffer->bytes != NULL;
}

void buffer_cleanup(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

static bool has_hex_prefix(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

// strtoull takes spaces, signs and prefixes too; here a number is its digits.
static bool digits_parse(const char *text, int base, uint64_t max, uint64_t *out)
{
    const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
    if (text[0] == '\0' || text[strspn(text, digits)] != '\0') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, NULL, base);
    return errno == 0 && *out <= max;
}

bool hex_number_parse(const char *text, uint64_t max, uint64_t *out)
{
    return digits_parse(has_hex_prefix(text) ? text + 2 : text, 16, max, out);
}

bool number_parse(const char *text, uint64_t max, uint64_t *out)
{
    return has_hex_prefix(text) ? digits_parse(text + 2, 16, max, out)
                                : digits_parse(text, 10, max, out);
}

// 0 to 15, or 16 for what is no digit.
static unsigned digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return (unsigned)(digit - '0');
    }
    if (digit >= 'a' && digit <= 'f') {
        return (unsigned)(digit - 'a' + 10);
    }
    if (digit >= 'A' && digit <= 'F') {
        return (unsigned)(digit - 'A' + 10);
    }
    return 16;
}

bool hex_parse(const char *text, struct buffer *out)
{
    size_t num_digits = strlen(text);
    if (num_digits % 2 != 0 || !buffer_reserve(out, num_digits / 2)) {
        return false;
    }
    for (size_t i = 0; i < out->len; i++) {
        unsigned high = digit_value(text[2 * i]);
        unsigned low = digit_value(text[2 * i + 1]);
        if (high > 15 || low > 15) {
            buffer_cleanup(out);
            return false;
        }
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

char *hex_format(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * len + 1);
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * len] = '\0';
    return text;
}
