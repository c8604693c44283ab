#ifndef CONFORMANCE_CALLS_H
#define CONFORMANCE_CALLS_H

// Calls by their names: from words or JSON to the library and back to JSON. The rows are calls.def.

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conformance/pulse.h"
#include "json_values.h"
#include "words.h"

struct call_info;

// One call with its arguments.
struct call {
    const struct call_info *info;
    void *args;
};

// What came of it.
struct call_result {
    uint64_t status; // a PULSE_STATUS, an HRESULT or a BOOL, as the call has it
    bool success;    // it is of the success class, S_OK or TRUE
    const char *status_name;
};

// The call of a command, or of a name in the driver protocol, in a protocol version; NULL when
// there is none.
const struct call_info *call_by_command(const char *command, uint32_t version);
const struct call_info *call_by_name(const char *name, uint32_t version);

const char *call_command(const struct call_info *info);

// Takes the arguments. False when memory is out; mistakes are in the words and args. Clean up in
// either case.
bool call_from_words(const struct call_info *info, struct words *words, struct call *out);
bool call_from_json(const struct call_info *info, struct json_args *args, struct call *out);
void call_cleanup(struct call *call);

// Makes the call. A `cr3` among its words is looked up first.
struct call_result call_run(const struct call *call, PPS_ENGINE engine);

// Appends the outputs: all of them after a success, the counts and what they count otherwise.
void call_outputs(const struct call *call, struct call_result result, json_t *object);

// One line for each command: its words, as the usage shows them.
void calls_print_usage(FILE *file);

// The names of the driver protocol as a new array.
json_t *calls_names(void);

// Name of a status of the given version: what follows PULSE_STATUS_ in the documentation.
const char *call_status_name(uint64_t status, uint32_t version);

#endif
