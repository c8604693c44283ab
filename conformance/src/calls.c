#include "calls.h"

#include <stdlib.h>
#include <string.h>

#include "conformance/windbg.h"
#include "protocol/status.h"

enum result_kind { RESULT_STATUS, RESULT_HRESULT, RESULT_BOOL };

// What words leave to be looked up before the call.
struct fixups {
    bool root_is_current;
    uint64_t *root;
    unsigned debug_named; // of DR6 (bit 0) and DR7 (bit 1), those to be set
    PS_CTX *context;
};

struct call_info {
    const char *command;
    const char *name;
    bool in_v1;
    bool in_v2;
    enum result_kind result;
    size_t args_size;
    void (*read_words)(struct words *words, void *pointer);
    void (*read_json)(struct json_args *json, void *pointer);
    uint64_t (*invoke)(PPS_ENGINE engine, void *pointer);
    void (*write_json)(const void *pointer, bool success, json_t *object);
    void (*cleanup)(void *pointer);
};

#define MAX_OF(type) (UINT64_MAX >> (64 - 8 * sizeof(type)))

// --- the arguments of each call, as a structure ---------------------------------------------

// clang-format off
// NOLINTBEGIN(bugprone-macro-parentheses): types and names take none
#define CALL(tag, command, name, function, versions, result)                                       \
    struct args_##tag {                                                                            \
        struct fixups fixups;
#define ROOT(name)                             uint64_t name;
#define NUMBER(type, name, word)               type name;
#define OPTIONAL(type, name, word, otherwise)  type name;
#define DEFAULTED(type, name, otherwise)       type name;
#define KEYED(type, name, key)                 type name;
#define IN_OUT(type, name, word)               struct { type value; bool null; } name;
#define OUT(type, name)                        struct { type value; bool null; } name;
#define COUNT(type, name)                      struct { type value; bool null; } name;
#define NUMBERS_OUT(type, name, count)         struct { type value[count]; bool null; } name;
#define READ_BUFFER(type, name, length, moved) struct buffer name; type length;
#define WRITE_BUFFER(type, name, length, word) struct buffer name; type length;
#define STRUCT_OUT(type, name)                 struct { type value; bool null; } name;
#define LIST_OUT(type, name, most, moved)      struct { type value[most]; bool null; } name;
#define CONTEXT_OUT(name, mask)                struct { PS_CTX value; bool null; } name;
#define EXTENDED_OUT(name, mask)               struct { PS_CTX_EXT value; bool null; } name;
#define CONTEXT_IN(name, mask)                 struct { PS_CTX value; bool null; } name; uint64_t mask;
#define EXTENDED_IN(name, mask)                struct { PS_CTX_EXT value; bool null; } name; uint64_t mask;
#define FILTER_IN(name)                        struct { PS_BREAK_POINT_FILTER_PARAMS value; bool null; } name;
#define END(tag)                               };
#include "calls.def"

// --- from words -----------------------------------------------------------------------------

#define CALL(tag, command, name, function, versions, result)                                       \
    static void words_of_##tag(struct words *words, void *pointer)                                 \
    {                                                                                              \
        struct args_##tag *args = pointer;                                                         \
        (void)args;
#define ROOT(name)                                                                                 \
        args->name = words_root(words, &args->fixups.root_is_current);                             \
        args->fixups.root = &args->name;
#define NUMBER(type, name, word)               args->name = (type)words_number(words, word, MAX_OF(type));
#define OPTIONAL(type, name, word, otherwise)                                                      \
        args->name = (type)words_optional(words, word, MAX_OF(type), otherwise);
#define DEFAULTED(type, name, otherwise)       args->name = otherwise;
#define KEYED(type, name, key)                 args->name = (type)words_keyed(words, key, MAX_OF(type));
#define IN_OUT(type, name, word)               args->name.value = (type)words_number(words, word, MAX_OF(type));
#define READ_BUFFER(type, name, length, moved) args->length = (type)words_room(words, MAX_OF(type), &args->name);
#define WRITE_BUFFER(type, name, length, word)                                                     \
        words_data(words, word, &args->name);                                                      \
        args->length = (type)args->name.len;
#define CONTEXT_IN(name, mask)                                                                     \
        args->mask = words_context(words, &args->name.value, &args->fixups.debug_named);           \
        args->fixups.context = &args->name.value;
#define EXTENDED_IN(name, mask)                args->mask = words_extended(words, &args->name.value);
#define FILTER_IN(name)                        words_filter(words, &args->name.value);
#define END(tag)                                                                                   \
        words_end(words);                                                                          \
    }
#include "calls.def"

// --- from JSON ------------------------------------------------------------------------------

#define CALL(tag, command, name, function, versions, result)                                       \
    static void json_of_##tag(struct json_args *json, void *pointer)                               \
    {                                                                                              \
        struct args_##tag *args = pointer;                                                         \
        (void)args;                                                                                \
        (void)json;
#define ROOT(name)                             args->name = json_args_number(json, #name, UINT64_MAX);
#define NUMBER(type, name, word)               args->name = (type)json_args_number(json, #name, MAX_OF(type));
#define OPTIONAL(type, name, word, otherwise)                                                      \
        args->name = (type)json_args_optional(json, #name, MAX_OF(type), otherwise);
#define DEFAULTED(type, name, otherwise)                                                           \
        args->name = (type)json_args_optional(json, #name, MAX_OF(type), otherwise);
#define KEYED(type, name, key)                 args->name = (type)json_args_number(json, #name, MAX_OF(type));
#define IN_OUT(type, name, word)                                                                   \
        args->name.value = (type)json_args_pointer(json, #name, MAX_OF(type), &args->name.null);
#define OUT(type, name)                        args->name.null = json_args_null(json, #name);
#define COUNT(type, name)                      args->name.null = json_args_null(json, #name);
#define NUMBERS_OUT(type, name, count)         args->name.null = json_args_null(json, #name);
#define READ_BUFFER(type, name, length, moved)                                                     \
        args->length = (type)json_args_room(json, #name, #length, MAX_OF(type), &args->name);
#define WRITE_BUFFER(type, name, length, word)                                                     \
        args->length = (type)json_args_data(json, #name, #length, MAX_OF(type), &args->name);
#define STRUCT_OUT(type, name)                 args->name.null = json_args_null(json, #name);
#define LIST_OUT(type, name, most, moved)      args->name.null = json_args_null(json, #name);
#define CONTEXT_OUT(name, mask)                args->name.null = json_args_null(json, #name);
#define EXTENDED_OUT(name, mask)               args->name.null = json_args_null(json, #name);
#define CONTEXT_IN(name, mask)                                                                     \
        args->name.null = !json_args_struct(json, #name, KIND_PS_CTX, &args->name.value);          \
        args->mask = json_args_number(json, #mask, UINT64_MAX);
#define EXTENDED_IN(name, mask)                                                                    \
        args->name.null = !json_args_struct(json, #name, KIND_PS_CTX_EXT, &args->name.value);      \
        args->mask = json_args_number(json, #mask, UINT64_MAX);
#define FILTER_IN(name)                                                                            \
        args->name.null = !json_args_struct(json, #name, KIND_PS_BREAK_POINT_FILTER_PARAMS,        \
                                            &args->name.value);
#define END(tag) }
#include "calls.def"

// --- the call itself ------------------------------------------------------------------------

#define POINTER(name) , args->name.null ? NULL : &args->name.value
#define ARRAY(name)   , args->name.null ? NULL : args->name.value

#define CALL(tag, command, name, function, versions, result)                                       \
    static uint64_t invoke_##tag(PPS_ENGINE engine, void *pointer)                                 \
    {                                                                                              \
        struct args_##tag *args = pointer;                                                         \
        (void)args;                                                                                \
        return (uint64_t)function(engine
#define ROOT(name)                             , args->name
#define NUMBER(type, name, word)               , args->name
#define OPTIONAL(type, name, word, otherwise)  , args->name
#define DEFAULTED(type, name, otherwise)       , args->name
#define KEYED(type, name, key)                 , args->name
#define IN_OUT(type, name, word)               POINTER(name)
#define OUT(type, name)                        POINTER(name)
#define COUNT(type, name)                      POINTER(name)
#define NUMBERS_OUT(type, name, count)         ARRAY(name)
#define READ_BUFFER(type, name, length, moved) , args->name.null ? NULL : args->name.bytes, args->length
#define WRITE_BUFFER(type, name, length, word) , args->name.null ? NULL : args->name.bytes, args->length
#define STRUCT_OUT(type, name)                 POINTER(name)
#define LIST_OUT(type, name, most, moved)      ARRAY(name)
#define CONTEXT_OUT(name, mask)                POINTER(name)
#define EXTENDED_OUT(name, mask)               POINTER(name)
#define CONTEXT_IN(name, mask)                 POINTER(name), args->mask
#define EXTENDED_IN(name, mask)                POINTER(name), args->mask
#define FILTER_IN(name)                        POINTER(name)
#define END(tag)                               ); }
#include "calls.def"

// --- to JSON --------------------------------------------------------------------------------

// How many bytes of a buffer hold something: what the count says, all of them without one.
static void put_buffer(json_t *object, const char *name, const struct buffer *buffer, uint64_t len)
{
    if (!buffer->null) {
        json_put_data(object, name, buffer->bytes, len < buffer->len ? len : buffer->len);
    }
}

#define IF_SHOWN(name) if (success && !args->name.null)

#define CALL(tag, command, name, function, versions, result)                                       \
    static void outputs_of_##tag(const void *pointer, bool success, json_t *object)                \
    {                                                                                              \
        const struct args_##tag *args = pointer;                                                   \
        (void)args;                                                                                \
        (void)success;                                                                             \
        (void)object;
#define IN_OUT(type, name, word)  IF_SHOWN(name) json_put_number(object, #name, (uint64_t)args->name.value);
#define OUT(type, name)           IF_SHOWN(name) json_put_number(object, #name, (uint64_t)args->name.value);
#define COUNT(type, name)         if (!args->name.null) json_put_number(object, #name, args->name.value);
#define NUMBERS_OUT(type, name, count)                                                             \
        IF_SHOWN(name) json_put_numbers(object, #name, args->name.value, count);
#define READ_BUFFER(type, name, length, moved)                                                     \
        if (success || args->moved.value > 0) {                                                    \
            put_buffer(object, #name, &args->name,                                                 \
                       args->moved.null ? args->length : args->moved.value);                       \
        }
#define STRUCT_OUT(type, name)    IF_SHOWN(name) json_put_struct(object, #name, KIND_##type, &args->name.value, 1);
#define LIST_OUT(type, name, most, moved)                                                          \
        IF_SHOWN(name) json_put_list(object, #name, KIND_##type, args->name.value, args->moved.value);
#define CONTEXT_OUT(name, mask)                                                                    \
        IF_SHOWN(name) json_put_struct(object, #name, KIND_PS_CTX, &args->name.value, mask);
#define EXTENDED_OUT(name, mask)                                                                   \
        IF_SHOWN(name) json_put_struct(object, #name, KIND_PS_CTX_EXT, &args->name.value, mask);
#define END(tag) }
#include "calls.def"

// --- and the end ----------------------------------------------------------------------------

#define CALL(tag, command, name, function, versions, result)                                       \
    static void cleanup_##tag(void *pointer)                                                       \
    {                                                                                              \
        struct args_##tag *args = pointer;                                                         \
        (void)args;
#define READ_BUFFER(type, name, length, moved) buffer_cleanup(&args->name);
#define WRITE_BUFFER(type, name, length, word) buffer_cleanup(&args->name);
#define END(tag)                               }
#include "calls.def"

// --- the table ------------------------------------------------------------------------------

// Words of the usage, each behind a space.
static const char *const usages[] = {
#define CALL(tag, command, name, function, versions, result)
#define ROOT(name)                             " ROOT"
#define NUMBER(type, name, word)               " " word
#define OPTIONAL(type, name, word, otherwise)  " [" word "]"
#define KEYED(type, name, key)                 " [" key "=VALUE]"
#define IN_OUT(type, name, word)               " " word
#define READ_BUFFER(type, name, length, moved) " LEN"
#define WRITE_BUFFER(type, name, length, word) " " word
#define CONTEXT_IN(name, mask)                 " REG=VALUE..."
#define EXTENDED_IN(name, mask)                " REG=HEX..."
#define FILTER_IN(name)                        " [match-|skip-](cr3|address|fs|gs|selector)=VALUE..."
#define END(tag)                               "",
#include "calls.def"
};

enum {
#define CALL(tag, command, name, function, versions, result) CALL_##tag,
#include "calls.def"
    NUM_CALLS,
};

#define IN_V1_1    true
#define IN_V1_2    false
#define IN_V1_BOTH true
#define IN_V2_1    false
#define IN_V2_2    true
#define IN_V2_BOTH true

static const struct call_info calls[NUM_CALLS] = {
#define CALL(tag, word, api, function, versions, kind)                                             \
    {.command = word, .name = api, .in_v1 = IN_V1_##versions, .in_v2 = IN_V2_##versions,           \
     .result = RESULT_##kind, .args_size = sizeof(struct args_##tag),                              \
     .read_words = words_of_##tag, .read_json = json_of_##tag, .invoke = invoke_##tag,             \
     .write_json = outputs_of_##tag, .cleanup = cleanup_##tag},
#include "calls.def"
};
// NOLINTEND(bugprone-macro-parentheses)
// clang-format on

static bool is_in(const struct call_info *info, uint32_t version)
{
    return version == PROTOCOL_V1 ? info->in_v1 : info->in_v2;
}

const struct call_info *call_by_command(const char *command, uint32_t version)
{
    for (size_t i = 0; i < NUM_CALLS; i++) {
        if (is_in(&calls[i], version) && strcmp(calls[i].command, command) == 0) {
            return &calls[i];
        }
    }
    return NULL;
}

const struct call_info *call_by_name(const char *name, uint32_t version)
{
    for (size_t i = 0; i < NUM_CALLS; i++) {
        if (is_in(&calls[i], version) && strcmp(calls[i].name, name) == 0) {
            return &calls[i];
        }
    }
    return NULL;
}

const char *call_command(const struct call_info *info)
{
    return info->command;
}

static bool call_begin(const struct call_info *info, struct call *out)
{
    *out = (struct call){info, calloc(1, info->args_size)};
    return out->args != NULL;
}

bool call_from_words(const struct call_info *info, struct words *words, struct call *out)
{
    if (!call_begin(info, out)) {
        return false;
    }
    info->read_words(words, out->args);
    return true;
}

bool call_from_json(const struct call_info *info, struct json_args *args, struct call *out)
{
    if (!call_begin(info, out)) {
        return false;
    }
    info->read_json(args, out->args);
    return true;
}

void call_cleanup(struct call *call)
{
    if (call->args != NULL) {
        call->info->cleanup(call->args);
    }
    free(call->args);
    *call = (struct call){0};
}

// Looks up what the words left open. DR6 and DR7 share a mask bit, so that the one not named is set
// to what it is.
static PULSE_STATUS fix_up(const struct fixups *fixups, PPS_ENGINE engine)
{
    PS_CTX now = {0};
    uint64_t mask = fixups->root_is_current ? DBG_CTX_PART_FLAG(cr3) : 0;
    mask |= fixups->debug_named == 1 || fixups->debug_named == 2 ? DBG_CTX_PART_FLAG(dr6) : 0;
    if (mask == 0) {
        return PULSE_STATUS_SUCCESS;
    }
    PULSE_STATUS status = PsGetContext(engine, &now, mask, NULL);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    if (fixups->root_is_current) {
        *fixups->root = now.cr3;
    }
    if (fixups->debug_named == 1) {
        fixups->context->dr7 = now.dr7;
    }
    if (fixups->debug_named == 2) {
        fixups->context->dr6 = now.dr6;
    }
    return status;
}

static const char *hresult_name(uint64_t status)
{
    switch (status) {
    case WINDBG_S_OK:
        return "S_OK";
    case WINDBG_E_INVALIDARG:
        return "E_INVALIDARG";
    case WINDBG_E_OUTOFMEMORY:
        return "E_OUTOFMEMORY";
    default:
        return "E_FAIL";
    }
}

const char *call_status_name(uint64_t status, uint32_t version)
{
    enum protocol_version protocol = version == PROTOCOL_V1 ? PROTOCOL_V1 : PROTOCOL_V2;
    enum pulse_status known = status_from_number(status, protocol);
    if (known == STATUS_GENERAL_PROTECTION && protocol == PROTOCOL_V2) {
        return "EXCEPTION_GENERAL_PROTECTION";
    }
    return status_name(known);
}

static struct call_result status_result(uint64_t status, PPS_ENGINE engine)
{
    uint32_t version = PROTOCOL_V2;
    EngGetProtocolVersion(engine, &version);
    return (struct call_result){status, PULSE_SUCCESS(status), call_status_name(status, version)};
}

struct call_result call_run(const struct call *call, PPS_ENGINE engine)
{
    const struct fixups *fixups = call->args;
    PULSE_STATUS before = fix_up(fixups, engine);
    if (before != PULSE_STATUS_SUCCESS) {
        return status_result((uint64_t)before, engine);
    }
    uint64_t status = call->info->invoke(engine, call->args);
    switch (call->info->result) {
    case RESULT_HRESULT:
        return (struct call_result){status, status == WINDBG_S_OK, hresult_name(status)};
    case RESULT_BOOL:
        return (struct call_result){status, status == WINDBG_TRUE,
                                    status == WINDBG_TRUE ? "TRUE" : "FALSE"};
    case RESULT_STATUS:
        break;
    }
    return status_result(status, engine);
}

void call_outputs(const struct call *call, struct call_result result, json_t *object)
{
    call->info->write_json(call->args, result.success, object);
}

void calls_print_usage(FILE *file)
{
    for (size_t i = 0; i < NUM_CALLS; i++) {
        const char *note = calls[i].in_v2 ? "" : "   (version 1)";
        (void)fprintf(file, "  %s%s%s\n", calls[i].command, usages[i], note);
    }
}

// A name may have a row for each version.
json_t *calls_names(void)
{
    json_t *names = json_array();
    for (size_t i = 0; i < NUM_CALLS; i++) {
        if (call_by_name(calls[i].name, PROTOCOL_V2) == &calls[i]) {
            json_array_append_new(names, json_string(calls[i].name));
        }
    }
    return names;
}
