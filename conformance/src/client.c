// pulsim-client: makes the documented calls from a command line.

#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "connection.h"
#include "driver.h"
#include "protocol/status.h"

#ifndef PULSIM_VERSION
#define PULSIM_VERSION "unknown"
#endif

enum { EXIT_CALL_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_CONNECTION = 3 };

struct settings {
    const char *endpoint;
    uint32_t protocol;
    uint32_t timeout_ms;
    bool driver;
    char **words; // of the calls
    int num_words;
};

// --- usage ----------------------------------------------------------------------------------

enum { OPTION_DRIVER = 0x100 };

static const struct argp_option options[] = {
    {"connect", 'c', "ENDPOINT", 0,
     "The debuggee: udp:HOST:PORT, tcp:HOST:PORT, unix:PATH or pty:PATH", 0},
    {"protocol", 'p', "VERSION", 0,
     "Protocol version 1 or 2 (default 2), or any to ask the debuggee first", 0},
    {"timeout", 't', "MS", 0, "Milliseconds to wait for a reply (default 5000)", 0},
    {"driver", OPTION_DRIVER, NULL, 0,
     "Speak the driver protocol: JSON on standard input and output", 0},
    {0},
};

static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_EXTRA) {
        return (char *)(uintptr_t)text;
    }
    char *usage = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&usage, &size);
    if (file == NULL) {
        return NULL;
    }
    (void)fprintf(file, "Calls:\n");
    calls_print_usage(file);
    (void)fprintf(
        file, "\nNumbers are decimal, or hexadecimal with 0x. HEX is pairs of hexadecimal digits,"
              " BYTE*COUNT or @FILE. ROOT may be cr3, the current one.\n");
    (void)fclose(file);
    return usage;
}

static void parse_protocol(struct argp_state *state, const char *text, struct settings *settings)
{
    if (strcmp(text, "any") == 0) {
        settings->protocol = 0;
    } else if (strcmp(text, "1") == 0 || strcmp(text, "2") == 0) {
        settings->protocol = (uint32_t)(text[0] - '0');
    } else {
        argp_error(state, "protocol is 1, 2 or any, not '%s'", text);
    }
}

static void parse_timeout(struct argp_state *state, const char *text, struct settings *settings)
{
    uint64_t timeout = 0;
    if (!number_parse(text, UINT32_MAX, &timeout)) {
        argp_error(state, "timeout is a number of milliseconds, not '%s'", text);
    }
    settings->timeout_ms = (uint32_t)timeout;
}

// From the first word on everything is calls, `--` included.
static void take_calls(struct argp_state *state, struct settings *settings)
{
    settings->words = state->argv + state->next - 1;
    settings->num_words = state->argc - state->next + 1;
    state->next = state->argc;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'c':
        settings->endpoint = text;
        return 0;
    case 'p':
        parse_protocol(state, text, settings);
        return 0;
    case 't':
        parse_timeout(state, text, settings);
        return 0;
    case OPTION_DRIVER:
        settings->driver = true;
        return 0;
    case ARGP_KEY_ARG:
        take_calls(state, settings);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .args_doc = "--connect ENDPOINT CALL [ARG...] [-- CALL [ARG...]]...\n--driver",
    .doc =
        "Makes calls of the debugger's API, in order, over one connection, and prints one line of"
        " JSON for each.\v",
    .help_filter = help_filter,
};

static int usage_error(const char *where, const char *what)
{
    (void)fprintf(stderr, "pulsim-client: %s%s%s\n", where, where[0] != '\0' ? ": " : "", what);
    (void)fprintf(stderr, "Try `pulsim-client --help' for more information.\n");
    return EXIT_USAGE;
}

// --- calls ----------------------------------------------------------------------------------

struct call_list {
    struct call *calls;
    size_t num_calls;
};

static void call_list_cleanup(struct call_list *list)
{
    for (size_t i = 0; i < list->num_calls; i++) {
        call_cleanup(&list->calls[i]);
    }
    free(list->calls);
}

// Reads one call. Returns 0, or an exit code after it has said what is wrong.
static int read_call(char **words, size_t num_words, uint32_t version, struct call *out)
{
    if (num_words == 0) {
        return usage_error("", "a call is missing between two `--'");
    }
    const struct call_info *info = call_by_command(words[0], version);
    if (info == NULL) {
        return usage_error(words[0], "there is no such call");
    }
    struct words rest = {.at = words + 1, .left = num_words - 1};
    if (!call_from_words(info, &rest, out)) {
        return usage_error(words[0], "there is no memory for it");
    }
    return rest.error[0] == '\0' ? 0 : usage_error(words[0], rest.error);
}

static size_t words_to_separator(char **words, size_t num_words)
{
    size_t i = 0;
    while (i < num_words && strcmp(words[i], "--") != 0) {
        i++;
    }
    return i;
}

static int read_calls(const struct settings *settings, uint32_t version, struct call_list *out)
{
    char **at = settings->words;
    size_t left = (size_t)settings->num_words;
    out->calls = calloc(left + 1, sizeof(*out->calls));
    if (out->calls == NULL) {
        return usage_error("", "there is no memory for the calls");
    }
    for (;;) {
        size_t num_words = words_to_separator(at, left);
        int error = read_call(at, num_words, version, &out->calls[out->num_calls++]);
        if (error != 0 || num_words == left) {
            return error;
        }
        at += num_words + 1;
        left -= num_words + 1;
    }
}

static bool print_result(const struct call *call, struct call_result result)
{
    json_t *line = json_object();
    json_object_set_new(line, "call", json_string(call_command(call->info)));
    json_put_status(line, "status", result.status);
    json_object_set_new(line, "status_name", json_string(result.status_name));
    call_outputs(call, result, line);
    bool printed = json_dumpf(line, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(line);
    return printed && fflush(stdout) == 0;
}

static int run_calls(const struct call_list *list, PPS_ENGINE engine)
{
    int code = 0;
    for (size_t i = 0; i < list->num_calls; i++) {
        struct call_result result = call_run(&list->calls[i], engine);
        if (!print_result(&list->calls[i], result)) {
            (void)fprintf(stderr, "pulsim-client: cannot write: %s\n", strerror(errno));
            return EXIT_CALL_FAILED;
        }
        code = result.success ? code : EXIT_CALL_FAILED;
    }
    return code;
}

// --- connection -----------------------------------------------------------------------------

static void print_text(uintptr_t context, void *bytes, uint32_t len)
{
    (void)context;
    (void)fwrite(bytes, 1, len, stderr);
}

static int open_connection(const struct settings *settings, struct connection *out)
{
    struct connection_options connection_options = {
        .endpoint = settings->endpoint,
        .protocol = settings->protocol,
        .timeout_ms = settings->timeout_ms,
        .text = print_text,
    };
    errno = 0;
    PULSE_STATUS status = connection_open(&connection_options, out);
    if (status == PULSE_STATUS_SUCCESS) {
        return 0;
    }
    if (status == PULSE_STATUS_INVALID_PARAMETER) {
        return usage_error(settings->endpoint,
                           "no udp:HOST:PORT, tcp:HOST:PORT, unix:PATH or pty:PATH");
    }
    (void)fprintf(stderr, "pulsim-client: no connection to %s: %s\n", settings->endpoint,
                  errno != 0 ? strerror(errno) : call_status_name((uint64_t)status, PROTOCOL_V2));
    return EXIT_NO_CONNECTION;
}

// What calls there are depends on the version, which has to be asked for when it is open.
static int settle_version(const struct settings *settings, struct connection *out_connection,
                          uint32_t *out_version)
{
    *out_version = settings->protocol;
    if (settings->protocol != 0) {
        return 0;
    }
    int error = open_connection(settings, out_connection);
    if (error == 0) {
        PsPing(out_connection->engine);
        EngGetProtocolVersion(out_connection->engine, out_version);
    }
    return error;
}

static int run(const struct settings *settings)
{
    struct connection connection = {0};
    struct call_list list = {0};
    uint32_t version = 0;
    int code = settle_version(settings, &connection, &version);
    if (code == 0) {
        code = read_calls(settings, version, &list);
    }
    if (code == 0 && connection.engine == NULL) {
        code = open_connection(settings, &connection);
    }
    if (code == 0) {
        code = run_calls(&list, connection.engine);
    }
    call_list_cleanup(&list);
    connection_close(&connection);
    return code;
}

int main(int argc, char **argv)
{
    struct settings settings = {.protocol = PROTOCOL_V2, .timeout_ms = DRIVER_TIMEOUT_MS};
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = "pulsim-client " PULSIM_VERSION;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &settings) != 0) {
        return EXIT_USAGE;
    }
    if (settings.driver && settings.num_words == 0 && settings.endpoint == NULL) {
        return driver_serve(stdin, stdout, stderr);
    }
    if (settings.driver) {
        return usage_error("--driver", "takes its connections and calls from standard input");
    }
    if (settings.endpoint == NULL) {
        return usage_error("", "--connect is missing");
    }
    if (settings.num_words == 0) {
        return usage_error("", "a call is missing");
    }
    return run(&settings);
}
