#ifndef CONFORMANCE_JSON_VALUES_H
#define CONFORMANCE_JSON_VALUES_H

// Arguments and results of calls as JSON: integers are hexadecimal strings with 0x, data is
// hexadecimal without, structures are objects.

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "structs.h"
#include "values.h"

// Arguments of one call. Sticky: after the first mistake, which `error` names, readers yield zeros.
struct json_args {
    json_t *object;
    size_t room_max; // longest buffer that is made
    char error[200]; // empty: all is well
};

// A number up to max that has to be there; or otherwise, when it is not.
uint64_t json_args_number(struct json_args *args, const char *name, uint64_t max);
uint64_t json_args_optional(struct json_args *args, const char *name, uint64_t max,
                            uint64_t otherwise);

// True when the pointer name is null. Absent means: a valid pointer.
bool json_args_null(const struct json_args *args, const char *name);

// A number behind a pointer: what is there, or 0 with *out_null set.
uint64_t json_args_pointer(struct json_args *args, const char *name, uint64_t max, bool *out_null);

// Room for length bytes, unless name is null.
uint64_t json_args_room(struct json_args *args, const char *name, const char *length, uint64_t max,
                        struct buffer *out);

// Data, unless name is null. Its length is what length says, which the data must reach, or its own.
uint64_t json_args_data(struct json_args *args, const char *name, const char *length, uint64_t max,
                        struct buffer *out);

// Fields of a structure, those absent zero. Returns false when it is null.
bool json_args_struct(struct json_args *args, const char *name, enum struct_kind kind, void *out);

// Results, appended to an object.
void json_put_number(json_t *object, const char *name, uint64_t value);
void json_put_data(json_t *object, const char *name, const uint8_t *bytes, size_t len);
void json_put_numbers(json_t *object, const char *name, const uint32_t *numbers, size_t count);
// The fields whose bit the mask has; a plain structure has bit 0 everywhere.
void json_put_struct(json_t *object, const char *name, enum struct_kind kind, const void *structure,
                     uint64_t mask);
void json_put_list(json_t *object, const char *name, enum struct_kind kind, const void *first,
                   size_t count);
// "0x%08x"
void json_put_status(json_t *object, const char *name, uint64_t status);

#endif
