#include "driver.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "connection.h"
#include "protocol/status.h"

#ifndef PULSIM_VERSION
#define PULSIM_VERSION "unknown"
#endif

// A connection by its number.
struct link {
    json_int_t number;
    uint32_t protocol;
    struct connection connection;
    struct driver *driver; // for log text
    struct link *next;
};

struct driver {
    FILE *out;
    FILE *errors;
    struct link *links;
    bool quits;
    bool broken; // out does not take lines any more
};

// --- output ---------------------------------------------------------------------------------

static void send_message(struct driver *driver, json_t *message)
{
    char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    if (line == NULL || fprintf(driver->out, "%s\n", line) < 0 || fflush(driver->out) != 0) {
        driver->broken = true;
    }
    free(line);
    json_decref(message);
}

// An answer to message, for more fields.
static json_t *answer_to(const json_t *message)
{
    json_t *answer = json_object();
    json_object_set(answer, "id", json_object_get(message, "id"));
    return answer;
}

static void answer_status(struct driver *driver, const json_t *message, PULSE_STATUS status)
{
    json_t *answer = answer_to(message);
    json_put_status(answer, "status", (uint64_t)status);
    send_message(driver, answer);
}

static void answer_unsupported(struct driver *driver, const json_t *message)
{
    json_t *answer = answer_to(message);
    json_object_set_new(answer, "unsupported", json_true());
    send_message(driver, answer);
}

// For a message whose arguments make no sense; no call was made.
static void answer_error(struct driver *driver, const json_t *message, const char *error)
{
    json_t *answer = answer_to(message);
    json_object_set_new(answer, "error", json_string(error));
    send_message(driver, answer);
}

static void send_text(uintptr_t context, void *bytes, uint32_t len)
{
    const struct link *from = (const struct link *)context;
    json_t *event = json_object();
    json_object_set_new(event, "event", json_string("text"));
    json_object_set_new(event, "conn", json_integer(from->number));
    json_put_data(event, "data", bytes, len);
    send_message(from->driver, event);
}

// --- connections ----------------------------------------------------------------------------

static json_int_t link_number(const json_t *message)
{
    return json_integer_value(json_object_get(message, "conn"));
}

static struct link *link_find(struct driver *driver, json_int_t number)
{
    struct link *link = driver->links;
    while (link != NULL && link->number != number) {
        link = link->next;
    }
    return link;
}

static struct link *link_make(struct driver *driver, json_int_t number)
{
    struct link *link = link_find(driver, number);
    if (link != NULL) {
        return link;
    }
    link = calloc(1, sizeof(*link));
    if (link != NULL) {
        *link = (struct link){.number = number, .driver = driver, .next = driver->links};
        driver->links = link;
    }
    return link;
}

static void links_free(struct driver *driver)
{
    while (driver->links != NULL) {
        struct link *link = driver->links;
        driver->links = link->next;
        connection_close(&link->connection);
        free(link);
    }
}

// --- operations -----------------------------------------------------------------------------

static void op_hello(struct driver *driver, json_t *message)
{
    json_t *answer = answer_to(message);
    json_object_set_new(answer, "client", json_string("pulsim-client"));
    json_object_set_new(answer, "version", json_string(PULSIM_VERSION));
    json_object_set_new(answer, "protocols", json_pack("[i,i]", 1, 2));
    json_object_set_new(answer, "transports", json_pack("[s,s,s,s]", "udp", "tcp", "unix", "pty"));
    json_object_set_new(answer, "calls", calls_names());
    json_object_set_new(answer, "features", json_pack("[s]", "udp-errors"));
    send_message(driver, answer);
}

// An integer that may be absent; false when it is something else.
static bool take_integer(const json_t *message, const char *name, json_int_t otherwise,
                         json_int_t *out)
{
    const json_t *value = json_object_get(message, name);
    *out = value != NULL ? json_integer_value(value) : otherwise;
    return value == NULL || json_is_integer(value);
}

static void op_connect(struct driver *driver, json_t *message)
{
    const char *endpoint = json_string_value(json_object_get(message, "endpoint"));
    json_int_t protocol = 0;
    json_int_t timeout = 0;
    if (endpoint == NULL || !take_integer(message, "protocol", PROTOCOL_V2, &protocol) ||
        !take_integer(message, "request_timeout_ms", DRIVER_TIMEOUT_MS, &timeout) || timeout < 0 ||
        timeout > UINT32_MAX) {
        answer_error(driver, message, "connect has endpoint, protocol and request_timeout_ms");
        return;
    }
    if (protocol != PROTOCOL_V1 && protocol != PROTOCOL_V2) {
        answer_unsupported(driver, message);
        return;
    }
    struct link *link = link_make(driver, link_number(message));
    if (link == NULL) {
        answer_status(driver, message, PULSE_STATUS_INSUFFICIENT_RESOURCES);
        return;
    }
    connection_close(&link->connection);
    link->protocol = (uint32_t)protocol;
    struct connection_options options = {
        .endpoint = endpoint,
        .protocol = (uint32_t)protocol,
        .timeout_ms = (uint32_t)timeout,
        .text = send_text,
        .text_context = (uintptr_t)link,
    };
    answer_status(driver, message, connection_open(&options, &link->connection));
}

static void op_disconnect(struct driver *driver, json_t *message)
{
    struct link *link = link_find(driver, link_number(message));
    if (link != NULL) {
        connection_close(&link->connection);
    }
    answer_status(driver, message, PULSE_STATUS_SUCCESS);
}

// Nothing is cached, so everything is written back already.
static void op_flush(struct driver *driver, json_t *message)
{
    answer_status(driver, message, PULSE_STATUS_SUCCESS);
}

static void op_quit(struct driver *driver, json_t *message)
{
    driver->quits = true;
    answer_status(driver, message, PULSE_STATUS_SUCCESS);
}

static void make_call(struct driver *driver, json_t *message, const struct call *call,
                      PPS_ENGINE engine)
{
    struct call_result result = call_run(call, engine);
    json_t *answer = answer_to(message);
    json_put_status(answer, "status", result.status);
    call_outputs(call, result, answer);
    send_message(driver, answer);
}

static void op_call(struct driver *driver, json_t *message)
{
    const char *name = json_string_value(json_object_get(message, "name"));
    const struct link *link = link_find(driver, link_number(message));
    uint32_t version = link != NULL ? link->protocol : PROTOCOL_V2;
    const struct call_info *info = name != NULL ? call_by_name(name, version) : NULL;
    if (info == NULL) {
        answer_unsupported(driver, message);
        return;
    }
    // Twice as many digits as bytes, and room for the rest of the line.
    struct json_args args = {.object = json_object_get(message, "args"),
                             .room_max = DRIVER_LINE_MAX / 2 - 4096};
    struct call call;
    bool null_engine = json_args_null(&args, "pEngine");
    PPS_ENGINE engine = link != NULL && !null_engine ? link->connection.engine : NULL;
    if (!call_from_json(info, &args, &call)) {
        answer_status(driver, message, PULSE_STATUS_INSUFFICIENT_RESOURCES);
    } else if (args.error[0] != '\0') {
        answer_error(driver, message, args.error);
    } else if (engine == NULL && !null_engine) {
        answer_status(driver, message, PULSE_STATUS_ENGINE_INIT_FAILED);
    } else {
        make_call(driver, message, &call, engine);
    }
    call_cleanup(&call);
}

struct operation {
    const char *name;
    void (*serve)(struct driver *driver, json_t *message);
};

static const struct operation operations[] = {
    {"hello", op_hello}, {"connect", op_connect}, {"call", op_call},
    {"flush", op_flush}, {"quit", op_quit},       {"disconnect", op_disconnect},
};

static void serve_message(struct driver *driver, json_t *message)
{
    const char *name = json_string_value(json_object_get(message, "op"));
    for (size_t i = 0; name != NULL && i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (strcmp(operations[i].name, name) == 0) {
            operations[i].serve(driver, message);
            return;
        }
    }
    answer_unsupported(driver, message);
}

// --- input ----------------------------------------------------------------------------------

// Without an integer id there is no answer.
static void serve_line(struct driver *driver, const char *line, size_t len)
{
    json_error_t error;
    json_t *message = json_loadb(line, len, 0, &error);
    if (message == NULL) {
        (void)fprintf(driver->errors, "pulsim-client: a line that is no JSON: %s\n", error.text);
    } else if (!json_is_integer(json_object_get(message, "id"))) {
        (void)fprintf(driver->errors, "pulsim-client: a line that is no message: it has no id\n");
    } else {
        serve_message(driver, message);
    }
    json_decref(message);
}

// Reads a line into line, DRIVER_LINE_MAX bytes. Returns its length without its end, 0 for an empty
// one and for one that is too long, which is skipped; -1 at the end of in.
static long read_line(struct driver *driver, FILE *in, char *line)
{
    long len = 0;
    int byte = getc(in);
    if (byte == EOF) {
        return -1;
    }
    for (; byte != EOF && byte != '\n'; byte = getc(in)) {
        if (len < DRIVER_LINE_MAX) {
            line[len] = (char)byte;
        }
        len++;
    }
    if (len >= DRIVER_LINE_MAX) {
        (void)fprintf(driver->errors, "pulsim-client: a line of more than 4 MiB\n");
        return 0;
    }
    return len;
}

int driver_serve(FILE *in, FILE *out, FILE *errors)
{
    struct driver driver = {.out = out, .errors = errors};
    char *line = malloc(DRIVER_LINE_MAX);
    if (line == NULL) {
        return 1;
    }
    while (!driver.quits && !driver.broken) {
        long len = read_line(&driver, in, line);
        if (len < 0) {
            break;
        }
        if (len > 0) {
            serve_line(&driver, line, (size_t)len);
        }
    }
    free(line);
    links_free(&driver);
    return driver.broken ? 1 : 0;
}
