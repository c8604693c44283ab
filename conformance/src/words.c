#include "words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "structs.h"

static bool words_ok(const struct words *words)
{
    return words->error[0] == '\0';
}

__attribute__((format(printf, 2, 3))) static void words_fail(struct words *words,
                                                             const char *format, ...)
{
    if (!words_ok(words)) {
        return;
    }
    va_list values;
    va_start(values, format);
    (void)vsnprintf(words->error, sizeof(words->error), format, values);
    va_end(values);
}

// The next word; NULL when there is none, or a mistake came before.
static const char *words_take(struct words *words, const char *name)
{
    if (!words_ok(words)) {
        return NULL;
    }
    if (words->left == 0) {
        words_fail(words, "%s is missing", name);
        return NULL;
    }
    words->left--;
    return *words->at++;
}

static uint64_t number_of(struct words *words, const char *name, const char *text, uint64_t max)
{
    uint64_t number = 0;
    if (number_parse(text, max, &number)) {
        return number;
    }
    words_fail(words, "%s is a number up to 0x%" PRIx64 ", not '%s'", name, max, text);
    return 0;
}

uint64_t words_number(struct words *words, const char *name, uint64_t max)
{
    const char *text = words_take(words, name);
    return text != NULL ? number_of(words, name, text, max) : 0;
}

uint64_t words_optional(struct words *words, const char *name, uint64_t max, uint64_t otherwise)
{
    return words->left > 0 ? words_number(words, name, max) : otherwise;
}

uint64_t words_root(struct words *words, bool *out_is_current)
{
    const char *text = words_take(words, "ROOT");
    *out_is_current = text != NULL && strcmp(text, "cr3") == 0;
    if (text == NULL || *out_is_current) {
        return 0;
    }
    return number_of(words, "ROOT (or cr3)", text, UINT64_MAX);
}

// --- data -----------------------------------------------------------------------------------

static bool buffer_grow(struct buffer *buffer, size_t size)
{
    uint8_t *grown = realloc(buffer->bytes, size);
    if (grown == NULL) {
        return false;
    }
    buffer->bytes = grown;
    return true;
}

static bool read_whole(FILE *file, struct buffer *out)
{
    size_t size = 4096;
    size_t got = 0;
    do {
        size = out->len == size ? 2 * size : size;
        if (!buffer_grow(out, size)) {
            return false;
        }
        got = fread(out->bytes + out->len, 1, size - out->len, file);
        out->len += got;
    } while (got > 0);
    return ferror(file) == 0;
}

static void data_of_file(struct words *words, const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        words_fail(words, "cannot read '%s'", path);
        return;
    }
    if (!read_whole(file, out)) {
        words_fail(words, "cannot read '%s'", path);
    }
    (void)fclose(file);
}

// BYTE*COUNT; star is where the asterisk stands.
static bool data_of_repetition(const char *text, const char *star, struct buffer *out)
{
    char byte[3] = {0};
    uint64_t value = 0;
    uint64_t count = 0;
    size_t num_digits = (size_t)(star - text);
    if (num_digits == 0 || num_digits > 2) {
        return false;
    }
    memcpy(byte, text, num_digits);
    if (!hex_number_parse(byte, UINT8_MAX, &value) || !number_parse(star + 1, SIZE_MAX, &count) ||
        !buffer_reserve(out, count)) {
        return false;
    }
    memset(out->bytes, (int)value, count);
    return true;
}

static void data_of(struct words *words, const char *name, const char *text, struct buffer *out)
{
    if (text[0] == '@') {
        data_of_file(words, text + 1, out);
        return;
    }
    const char *star = strchr(text, '*');
    bool valid = star != NULL ? data_of_repetition(text, star, out) : hex_parse(text, out);
    if (!valid) {
        words_fail(words, "%s is pairs of hexadecimal digits, BYTE*COUNT or @FILE, not '%.60s'",
                   name, text);
    }
}

void words_data(struct words *words, const char *name, struct buffer *out)
{
    const char *text = words_take(words, name);
    if (text != NULL) {
        data_of(words, name, text, out);
    }
}

uint64_t words_room(struct words *words, uint64_t max, struct buffer *out)
{
    uint64_t len = words_number(words, "LEN", max);
    if (words_ok(words) && !buffer_reserve(out, len)) {
        words_fail(words, "there is no memory for 0x%" PRIx64 " bytes", len);
    }
    return len;
}

// --- key=VALUE ------------------------------------------------------------------------------

// Splits the word at its equals sign, in place; NULL when it has none.
static char *split(struct words *words, char *word)
{
    char *equals = strchr(word, '=');
    if (equals == NULL) {
        words_fail(words, "expected NAME=VALUE, not '%s'", word);
        return NULL;
    }
    *equals = '\0';
    return equals + 1;
}

uint64_t words_keyed(struct words *words, const char *key, uint64_t max)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < words->left && words_ok(words); i++) {
        char *word = words->at[i];
        if (strncmp(word, key, len) == 0 && word[len] == '=') {
            // It is taken out by moving the words before it up.
            memmove(words->at + 1, words->at, i * sizeof(*words->at));
            words->at++;
            words->left--;
            return number_of(words, key, word + len + 1, max);
        }
    }
    return 0;
}

// The register named before the equals sign, and in *out_value the text behind it.
static const struct struct_field *take_register(struct words *words, enum struct_kind kind,
                                                const char **out_value)
{
    char *word = *words->at++;
    words->left--;
    *out_value = split(words, word);
    if (*out_value == NULL) {
        return NULL;
    }
    const struct struct_field *field = struct_field(kind, word);
    if (field == NULL) {
        words_fail(words, "there is no register '%s'", word);
    }
    return field;
}

static uint64_t field_max(const struct struct_field *field)
{
    return field->size < NUMBER_SIZE_MAX ? (UINT64_C(1) << (8 * field->size)) - 1 : UINT64_MAX;
}

uint64_t words_context(struct words *words, PS_CTX *out, unsigned *out_debug)
{
    uint64_t mask = 0;
    if (words_ok(words) && words->left == 0) {
        words_fail(words, "REG=VALUE is missing");
    }
    while (words_ok(words) && words->left > 0) {
        const char *text = NULL;
        const struct struct_field *field = take_register(words, KIND_PS_CTX, &text);
        if (field == NULL) {
            break;
        }
        uint64_t value = number_of(words, field->name, text, field_max(field));
        field_store(out, field->offset, field->size, value);
        mask |= UINT64_C(1) << field->bit;
        *out_debug |= field->offset == offsetof(PS_CTX, dr6) ? 1 : 0;
        *out_debug |= field->offset == offsetof(PS_CTX, dr7) ? 2 : 0;
    }
    return mask;
}

static void extended_value(struct words *words, const struct struct_field *field, const char *text,
                           PS_CTX_EXT *out)
{
    uint64_t number = 0;
    if (field->size <= NUMBER_SIZE_MAX) {
        if (!hex_number_parse(text, field_max(field), &number)) {
            words_fail(words, "%s is a hexadecimal number of up to %u bytes, not '%s'", field->name,
                       field->size, text);
        }
        field_store(out, field->offset, field->size, number);
        return;
    }
    struct buffer data = {0};
    data_of(words, field->name, text, &data);
    if (words_ok(words) && data.len != field->size) {
        words_fail(words, "%s has %u bytes, not %zu", field->name, field->size, data.len);
    }
    if (words_ok(words) && data.bytes != NULL) {
        memcpy((uint8_t *)out + field->offset, data.bytes, data.len);
    }
    buffer_cleanup(&data);
}

uint64_t words_extended(struct words *words, PS_CTX_EXT *out)
{
    uint64_t mask = 0;
    if (words_ok(words) && words->left == 0) {
        words_fail(words, "REG=HEX is missing");
    }
    while (words_ok(words) && words->left > 0) {
        const char *text = NULL;
        const struct struct_field *field = take_register(words, KIND_PS_CTX_EXT, &text);
        if (field == NULL) {
            break;
        }
        extended_value(words, field, text, out);
        mask |= UINT64_C(1) << field->bit;
    }
    return mask;
}

// --- filters --------------------------------------------------------------------------------

struct filter_key {
    const char *key;
    const char *field;
    uint16_t flag;
};

static const struct filter_key filter_keys[] = {
    {"cr3", "PageTableAddress", PS_FILTER_FLAG_MATCH_PAGE_TABLE},
    {"address", "Address", PS_FILTER_FLAG_MATCH_LINEAR_ADDRESS},
    {"fs", "FsBase", PS_FILTER_FLAG_MATCH_FS_BASE},
    {"gs", "GsBase", PS_FILTER_FLAG_MATCH_GS_BASE},
    {"selector", "Selector", PS_FILTER_FLAG_MATCH_SELECTOR},
};

static const struct filter_key *find_filter_key(const char *key)
{
    for (size_t i = 0; i < sizeof(filter_keys) / sizeof(filter_keys[0]); i++) {
        if (strcmp(filter_keys[i].key, key) == 0) {
            return &filter_keys[i];
        }
    }
    return NULL;
}

// Both sides of a filter compare with the same value, so a key named for both must have one value.
static void filter_value(struct words *words, const struct filter_key *key, uint64_t value,
                         PS_BREAK_POINT_FILTER_PARAMS *out)
{
    const struct struct_field *field = struct_field(KIND_PS_BREAK_POINT_FILTER_PARAMS, key->field);
    bool is_set = ((out->MatchFlags | out->SkipFlags) & key->flag) != 0;
    if (is_set && field_load(out, field->offset, field->size) != value) {
        words_fail(words, "%s has two values, but a filter holds one", key->key);
    }
    field_store(out, field->offset, field->size, value);
}

static void filter_word(struct words *words, char *word, PS_BREAK_POINT_FILTER_PARAMS *out)
{
    char *text = split(words, word);
    if (text == NULL) {
        return;
    }
    bool is_skip = strncmp(word, "skip-", 5) == 0;
    bool is_match = strncmp(word, "match-", 6) == 0;
    const char *name = word + (is_skip ? 5 : 0) + (is_match ? 6 : 0);
    const struct filter_key *key = find_filter_key(name);
    if (key == NULL) {
        words_fail(words, "there is no comparison '%s'", word);
        return;
    }
    uint64_t max = key->flag == PS_FILTER_FLAG_MATCH_SELECTOR ? UINT16_MAX : UINT64_MAX;
    filter_value(words, key, number_of(words, name, text, max), out);
    uint16_t *flags = is_skip ? &out->SkipFlags : &out->MatchFlags;
    *flags = (uint16_t)(*flags | key->flag);
}

void words_filter(struct words *words, PS_BREAK_POINT_FILTER_PARAMS *out)
{
    while (words_ok(words) && words->left > 0) {
        words->left--;
        filter_word(words, *words->at++, out);
    }
}

void words_end(struct words *words)
{
    if (words_ok(words) && words->left > 0) {
        words_fail(words, "unexpected word '%s'", *words->at);
    }
}
