#include "serve.h"

#include <argp.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "target.h"
#include "target_file.h"
#include "target_option.h"

enum {
    EXIT_USAGE = 2,
    ERROR_SIZE = 256,
    DEFAULT_PEERS = 1024,
    MOST_PEERS = 1 << 20,
    LONGEST_POLL_US = 1000000,
};

#define DEFAULT_ENDPOINT "127.0.0.1:50100"
#define COMPAT_2018      "pulse-2018-client"

enum serve_option {
    OPTION_ENDPOINT = 0x100, // and the kinds of endpoint behind it
    OPTION_ALLOW_REMOTE = OPTION_ENDPOINT + NUM_ENDPOINT_KINDS,
    OPTION_TARGET,
    OPTION_PROTOCOL,
    OPTION_COMPAT,
    OPTION_BUG,
    OPTION_RUN,
    OPTION_POLL_INTERVAL,
    OPTION_ISOLATE,
    OPTION_TEXT,
    OPTION_MAX_PEERS,
    OPTION_SEED,
    OPTION_TRACE,
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Where to listen (repeatable; none: UDP " DEFAULT_ENDPOINT ")", 1},
    {"udp", OPTION_ENDPOINT + ENDPOINT_UDP, "HOST:PORT", 0, "UDP, a packet per datagram", 1},
    {"tcp", OPTION_ENDPOINT + ENDPOINT_TCP, "HOST:PORT", 0, "TCP, packets in frames", 1},
    {"unix", OPTION_ENDPOINT + ENDPOINT_UNIX, "PATH", 0, "Unix socket, packets in frames", 1},
    {"pty", OPTION_ENDPOINT + ENDPOINT_PTY, "LINK", 0,
     "Pseudo-terminal that LINK leads to, packets in frames", 1},
    {"allow-remote", OPTION_ALLOW_REMOTE, NULL, 0,
     "Permit addresses that other hosts reach; the protocol has no authentication", 1},
    {NULL, 0, NULL, 0, "What is debugged", 2},
    {"target", OPTION_TARGET, TARGET_OPTION_ARGUMENT, 0,
     "Built-in target or target file (" TARGET_OPTION_DEFAULT ")", 2},
    {"run", OPTION_RUN, "free|lockstep", 0,
     "A running guest runs all the time (free, the default), or 10,000 instructions for each "
     "packet received",
     2},
    {"isolate", OPTION_ISOLATE, NULL, 0, "A machine for each peer", 2},
    {"seed", OPTION_SEED, "N", 0, "Seed of what is decided by chance (0)", 2},
    {NULL, 0, NULL, 0, "How it answers", 3},
    {"protocol", OPTION_PROTOCOL, "1|2|any", 0, "Versions spoken (any)", 3},
    {"compat", OPTION_COMPAT, "NAME", 0, "Bend replies to what a client needs: " COMPAT_2018, 3},
    {"poll-interval", OPTION_POLL_INTERVAL, "MICROSECONDS", 0,
     "While the target runs, answer at such intervals only (0: at once)", 3},
    {"max-peers", OPTION_MAX_PEERS, "N", 0, "UDP peers remembered per port (1024)", 3},
    {"bug", OPTION_BUG, "NAME[=ARG]", 0, "Misbehave (repeatable; --bug list shows the names)", 3},
    {NULL, 0, NULL, 0, "What is told", 4},
    {"text", OPTION_TEXT, NULL, 0, "Send log text to the peers, too", 4},
    {"trace", OPTION_TRACE, "FILE.pcap", 0, "Record all packets for packet analysers", 4},
    {0},
};

struct arguments {
    struct server_options server;
    struct endpoint_address *endpoints;
    struct target *file; // of a target file
    bool allow_remote;
};

static uint64_t parse_number(const struct argp_state *state, const char *option, const char *text,
                             uint64_t highest)
{
    char *end = NULL;
    uint64_t number = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end != '\0' || number > highest) {
        argp_failure(state, EXIT_USAGE, 0, "%s '%s': not a number from 0 to %llu", option, text,
                     (unsigned long long)highest);
    }
    return number;
}

static void add_endpoint(const struct argp_state *state, enum endpoint_kind kind, const char *text)
{
    struct arguments *arguments = state->input;
    size_t num = arguments->server.num_endpoints;
    struct endpoint_address *endpoints =
        reallocarray(arguments->endpoints, num + 1, sizeof(*endpoints));
    if (!endpoints) {
        argp_failure(state, EXIT_FAILURE, 0, "out of memory");
        return;
    }
    const char *error = endpoint_address_parse(kind, text, &endpoints[num]);
    if (error) {
        argp_failure(state, EXIT_USAGE, 0, "%s %s: %s", endpoint_kind_name(kind), text, error);
    }
    arguments->endpoints = endpoints;
    arguments->server.endpoints = endpoints;
    arguments->server.num_endpoints = num + 1;
}

static enum debuggee_versions parse_versions(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "1") != 0 && strcmp(text, "2") != 0 && strcmp(text, "any") != 0) {
        argp_failure(state, EXIT_USAGE, 0, "--protocol '%s': not 1, 2 or any", text);
    }
    return *text == '1' ? DEBUGGEE_V1 : *text == '2' ? DEBUGGEE_V2 : DEBUGGEE_ANY;
}

static bool parse_run(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "free") != 0 && strcmp(text, "lockstep") != 0) {
        argp_failure(state, EXIT_USAGE, 0, "--run '%s': not free or lockstep", text);
    }
    return *text == 'f';
}

static bool parse_compat(const struct argp_state *state, const char *text)
{
    if (strcmp(text, COMPAT_2018) != 0) {
        argp_failure(state, EXIT_USAGE, 0, "--compat '%s': there is only %s", text, COMPAT_2018);
    }
    return true;
}

static void set_target(const struct argp_state *state, const char *text)
{
    struct arguments *arguments = state->input;
    arguments->server.target = target_option(state, text, &arguments->file);
}

static void set_bug(const struct argp_state *state, const char *text)
{
    struct arguments *arguments = state->input;
    if (strcmp(text, "list") == 0) {
        bugs_print(stdout);
        exit(EXIT_SUCCESS);
    }
    char error[ERROR_SIZE];
    if (!bugs_enable(&arguments->server.bugs, text, error, sizeof(error))) {
        argp_failure(state, EXIT_USAGE, 0, "%s", error);
    }
}

static void check_endpoints(const struct argp_state *state)
{
    struct arguments *arguments = state->input;
    if (arguments->server.num_endpoints == 0) {
        add_endpoint(state, ENDPOINT_UDP, DEFAULT_ENDPOINT);
    }
    for (size_t i = 0; i < arguments->server.num_endpoints; i++) {
        const struct endpoint_address *address = &arguments->endpoints[i];
        if (address->is_remote && !arguments->allow_remote) {
            argp_failure(state, EXIT_USAGE, 0,
                         "%s %s: other hosts reach this address and the protocol has no "
                         "authentication; --allow-remote permits it",
                         endpoint_kind_name(address->kind), address->text);
        }
    }
}

static error_t parse_setting(struct server_options *server, int key, const char *text,
                             const struct argp_state *state)
{
    switch (key) {
    case OPTION_PROTOCOL:
        server->versions = parse_versions(state, text);
        return 0;
    case OPTION_COMPAT:
        server->compat_2018_client = parse_compat(state, text);
        return 0;
    case OPTION_RUN:
        server->free_running = parse_run(state, text);
        return 0;
    case OPTION_POLL_INTERVAL:
        server->poll_interval_us = parse_number(state, "--poll-interval", text, LONGEST_POLL_US);
        return 0;
    case OPTION_ISOLATE:
        server->isolate = true;
        return 0;
    case OPTION_TEXT:
        server->text = true;
        return 0;
    case OPTION_SEED:
        server->bugs.random = parse_number(state, "--seed", text, UINT64_MAX);
        return 0;
    case OPTION_TRACE:
        server->trace_path = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void set_max_peers(const struct argp_state *state, const char *text)
{
    struct arguments *arguments = state->input;
    arguments->server.max_peers = parse_number(state, "--max-peers", text, MOST_PEERS);
    if (arguments->server.max_peers == 0) {
        argp_failure(state, EXIT_USAGE, 0, "--max-peers '%s': there must be room for one", text);
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_ENDPOINT + ENDPOINT_UDP:
    case OPTION_ENDPOINT + ENDPOINT_TCP:
    case OPTION_ENDPOINT + ENDPOINT_UNIX:
    case OPTION_ENDPOINT + ENDPOINT_PTY:
        add_endpoint(state, (enum endpoint_kind)(key - OPTION_ENDPOINT), text);
        return 0;
    case OPTION_ALLOW_REMOTE:
        arguments->allow_remote = true;
        return 0;
    case OPTION_TARGET:
        set_target(state, text);
        return 0;
    case OPTION_BUG:
        set_bug(state, text);
        return 0;
    case OPTION_MAX_PEERS:
        set_max_peers(state, text);
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, EXIT_USAGE, 0, "'%s' is not an option", text);
        return 0;
    case ARGP_KEY_SUCCESS:
        check_endpoints(state);
        return 0;
    default:
        return parse_setting(&arguments->server, key, text, state);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .doc =
        "Serves a debuggee until it is interrupted.\v"
        "Prints `listening KIND ADDRESS` for each endpoint and then `ready`. Port 0 takes a free "
        "one.",
};

int serve_main(int argc, char **argv)
{
    struct arguments arguments = {
        .server = {.target = target_find(TARGET_OPTION_DEFAULT),
                   .free_running = true,
                   .max_peers = DEFAULT_PEERS},
    };
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (error) {
        warnx("the options cannot be read: %s", strerror(error));
    }
    int code = error ? EXIT_FAILURE : server_run(&arguments.server);
    free(arguments.endpoints);
    target_file_free(arguments.file);
    return code;
}
