#include "json_values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- arguments ------------------------------------------------------------------------------

static bool args_ok(const struct json_args *args)
{
    return args->error[0] == '\0';
}

__attribute__((format(printf, 2, 3))) static void args_fail(struct json_args *args,
                                                            const char *format, ...)
{
    if (!args_ok(args)) {
        return;
    }
    va_list values;
    va_start(values, format);
    (void)vsnprintf(args->error, sizeof(args->error), format, values);
    va_end(values);
}

static uint64_t number_of(struct json_args *args, const char *name, const json_t *value,
                          uint64_t max)
{
    uint64_t number = 0;
    const char *text = json_string_value(value);
    if (text == NULL || strncmp(text, "0x", 2) != 0 || !hex_number_parse(text, max, &number)) {
        args_fail(args, "%s is a string with a hexadecimal number up to 0x%" PRIx64, name, max);
        return 0;
    }
    return number;
}

uint64_t json_args_number(struct json_args *args, const char *name, uint64_t max)
{
    return number_of(args, name, json_object_get(args->object, name), max);
}

uint64_t json_args_optional(struct json_args *args, const char *name, uint64_t max,
                            uint64_t otherwise)
{
    const json_t *value = json_object_get(args->object, name);
    return value != NULL ? number_of(args, name, value, max) : otherwise;
}

bool json_args_null(const struct json_args *args, const char *name)
{
    return json_is_null(json_object_get(args->object, name));
}

uint64_t json_args_pointer(struct json_args *args, const char *name, uint64_t max, bool *out_null)
{
    *out_null = json_args_null(args, name);
    return *out_null ? 0 : json_args_number(args, name, max);
}

static bool reserve(struct json_args *args, const char *name, uint64_t len, struct buffer *out)
{
    if (len > args->room_max) {
        args_fail(args, "%s is too long for one line", name);
    } else if (!buffer_reserve(out, len)) {
        args_fail(args, "there is no memory for %s", name);
    }
    return args_ok(args);
}

uint64_t json_args_room(struct json_args *args, const char *name, const char *length, uint64_t max,
                        struct buffer *out)
{
    uint64_t len = json_args_number(args, length, max);
    out->null = json_args_null(args, name);
    if (!out->null && args_ok(args)) {
        reserve(args, name, len, out);
    }
    return len;
}

static void data_of(struct json_args *args, const char *name, const json_t *value,
                    struct buffer *out)
{
    const char *text = json_string_value(value);
    if (args_ok(args) && (text == NULL || !hex_parse(text, out))) {
        args_fail(args, "%s is a string of pairs of hexadecimal digits", name);
    }
}

uint64_t json_args_data(struct json_args *args, const char *name, const char *length, uint64_t max,
                        struct buffer *out)
{
    out->null = json_args_null(args, name);
    if (!out->null) {
        data_of(args, name, json_object_get(args->object, name), out);
    }
    uint64_t len = json_args_optional(args, length, max, out->len);
    if (!out->null && args_ok(args) && len > out->len) {
        args_fail(args, "%s is more than %s has", length, name);
    }
    return len;
}

static void struct_number(struct json_args *args, const struct struct_field *field,
                          const json_t *value, void *out)
{
    uint64_t max = UINT64_MAX >> (64 - 8 * field->size);
    field_store(out, field->offset, field->size, number_of(args, field->name, value, max));
}

static void struct_data(struct json_args *args, const struct struct_field *field,
                        const json_t *value, void *out)
{
    struct buffer data = {0};
    data_of(args, field->name, value, &data);
    if (args_ok(args) && data.len != field->size) {
        args_fail(args, "%s has %u bytes", field->name, field->size);
    }
    if (args_ok(args) && data.bytes != NULL) {
        memcpy((uint8_t *)out + field->offset, data.bytes, data.len);
    }
    buffer_cleanup(&data);
}

bool json_args_struct(struct json_args *args, const char *name, enum struct_kind kind, void *out)
{
    json_t *object = json_object_get(args->object, name);
    if (json_is_null(object)) {
        return false;
    }
    if (!json_is_object(object)) {
        args_fail(args, "%s is an object", name);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        const struct struct_field *field = struct_field(kind, key);
        if (field == NULL || field->count > 1) {
            args_fail(args, "%s has no field %s to set", name, key);
        } else if (field->size <= NUMBER_SIZE_MAX) {
            struct_number(args, field, value, out);
        } else {
            struct_data(args, field, value, out);
        }
    }
    return true;
}

// --- results --------------------------------------------------------------------------------

static json_t *number_new(uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "0x%" PRIx64, value);
    return json_string(text);
}

static json_t *data_new(const uint8_t *bytes, size_t len)
{
    char *text = hex_format(bytes, len);
    json_t *value = text != NULL ? json_stringn_nocheck(text, 2 * len) : NULL;
    free(text);
    return value;
}

void json_put_number(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, number_new(value));
}

void json_put_data(json_t *object, const char *name, const uint8_t *bytes, size_t len)
{
    json_object_set_new(object, name, data_new(bytes, len));
}

void json_put_numbers(json_t *object, const char *name, const uint32_t *numbers, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, number_new(numbers[i]));
    }
    json_object_set_new(object, name, array);
}

// Of a walk's entries those that there are.
static size_t num_shown(enum struct_kind kind, const struct struct_field *field,
                        const void *structure)
{
    if (kind != KIND_PS_PAGE_WALK_INFO) {
        return field->count;
    }
    const PS_PAGE_WALK_INFO *walk = structure;
    return walk->NumEntries < field->count ? walk->NumEntries : field->count;
}

static json_t *field_new(enum struct_kind kind, const struct struct_field *field,
                         const void *structure)
{
    if (field->size > NUMBER_SIZE_MAX) {
        return data_new((const uint8_t *)structure + field->offset, field->size);
    }
    if (field->count == 1) {
        return number_new(field_load(structure, field->offset, field->size));
    }
    json_t *array = json_array();
    for (size_t i = 0; i < num_shown(kind, field, structure); i++) {
        size_t offset = field->offset + i * field->size;
        json_array_append_new(array, number_new(field_load(structure, offset, field->size)));
    }
    return array;
}

static json_t *struct_new(enum struct_kind kind, const void *structure, uint64_t mask)
{
    const struct struct_info *info = struct_info(kind);
    json_t *object = json_object();
    for (size_t i = 0; i < info->num_fields; i++) {
        const struct struct_field *field = &info->fields[i];
        if (mask >> field->bit & 1) {
            json_object_set_new(object, field->name, field_new(kind, field, structure));
        }
    }
    return object;
}

void json_put_struct(json_t *object, const char *name, enum struct_kind kind, const void *structure,
                     uint64_t mask)
{
    json_object_set_new(object, name, struct_new(kind, structure, mask));
}

void json_put_list(json_t *object, const char *name, enum struct_kind kind, const void *first,
                   size_t count)
{
    json_t *array = json_array();
    const uint8_t *at = first;
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(array, struct_new(kind, at, 1));
        at += struct_info(kind)->size;
    }
    json_object_set_new(object, name, array);
}

void json_put_status(json_t *object, const char *name, uint64_t status)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "0x%08" PRIx64, status);
    json_object_set_new(object, name, json_string(text));
}
