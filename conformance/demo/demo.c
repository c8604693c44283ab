// pulsim-demo: a session with the simulator, told step by step. Starts a simulator on a free port,
// makes every kind of call, shows what was asked, what came back and what it means, and ends it.

#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "connection.h"
#include "long64.h"
#include "protocol/status.h"
#include "show.h"
#include "simulator.h"

enum { TIMEOUT_MS = 5000, SILENCE_MS = 400, WORDS_MAX = 16, WAITS_MAX = 2000, WAIT_NS = 1000000 };

struct demo {
    const char *pulsim; // the program
    struct show show;
    struct simulator simulator;
    struct connection connection;
    uint32_t version;
};

// --- words ----------------------------------------------------------------------------------

struct place {
    const char *name;
    uint64_t address;
};

static const struct place places[] = {
#define PLACE(name, address) {name, address},
#include "steps.def"
};

static const struct place *find_place(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strlen(places[i].name) == len && strncmp(places[i].name, name, len) == 0) {
            return &places[i];
        }
    }
    return NULL;
}

// Text with {places} as their addresses; the caller's.
static char *with_addresses(const char *text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    while (file != NULL && *text != '\0') {
        size_t plain = strcspn(text, "{");
        (void)fprintf(file, "%.*s", (int)plain, text);
        text += plain;
        if (*text == '{') {
            size_t len = strcspn(text + 1, "}");
            const struct place *place = find_place(text + 1, len);
            (void)fprintf(file, "0x%" PRIx64, place != NULL ? place->address : 0);
            text += len + 2;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return out;
}

// --- one step -------------------------------------------------------------------------------

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 +
           (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

// The answer as pulsim-client prints it.
static json_t *make_call(const struct demo *demo, const struct call *call)
{
    struct call_result result = call_run(call, demo->connection.engine);
    json_t *answer = json_object();
    json_put_status(answer, "status", result.status);
    json_object_set_new(answer, "status_name", json_string(result.status_name));
    call_outputs(call, result, answer);
    return answer;
}

// Splits text in place, reads the call and makes it; NULL when the text is none.
static json_t *run_words(const struct demo *demo, char *text)
{
    char *list[WORDS_MAX];
    struct words words = {.at = list};
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL && words.left < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        list[words.left++] = word;
    }
    const struct call_info *info = words.left > 0 ? call_by_command(list[0], demo->version) : NULL;
    struct call call;
    words.at++;
    words.left--;
    if (info == NULL || !call_from_words(info, &words, &call)) {
        return NULL;
    }
    json_t *answer = words.error[0] == '\0' ? make_call(demo, &call) : NULL;
    call_cleanup(&call);
    return answer;
}

static void step(struct demo *demo, const char *words, const char *expected, const char *meaning)
{
    struct timespec start;
    char *asked = with_addresses(words);
    char *text = asked != NULL ? strdup(asked) : NULL;
    clock_gettime(CLOCK_MONOTONIC, &start);
    json_t *answer = text != NULL ? run_words(demo, text) : NULL;
    if (answer == NULL) {
        (void)printf("\n  this is no call: %s\n", words);
        demo->show.num_surprises++;
    } else {
        show_step(&demo->show, &(struct shown_step){asked, answer, expected, meaning,
                                                    milliseconds_since(&start)});
    }
    json_decref(answer);
    free(asked);
    free(text);
}

// Asks until the target has stopped, and shows the last time.
static void wait_step(struct demo *demo, const char *words, const char *expected,
                      const char *meaning)
{
    PS_STATE_INFO info = {.Running = 1};
    const struct timespec pause = {.tv_nsec = WAIT_NS};
    for (int i = 0; i < WAITS_MAX && info.Running; i++) {
        if (PsGetStateInfo(demo->connection.engine, &info) != PULSE_STATUS_SUCCESS) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    step(demo, words, expected, meaning);
}

static void title(const struct demo *demo, const char *heading, const char *text)
{
    char *expanded = with_addresses(text);
    show_title(&demo->show, heading, expanded != NULL ? expanded : "");
    free(expanded);
}

// --- the session ----------------------------------------------------------------------------

static bool start(struct demo *demo, uint32_t version, uint32_t timeout_ms,
                  const char *const *arguments)
{
    demo->version = version;
    if (!simulator_start(&demo->simulator, demo->pulsim, arguments, true)) {
        (void)fprintf(stderr, "pulsim-demo: %s does not start\n", demo->pulsim);
        return false;
    }
    struct connection_options options = {
        .endpoint = demo->simulator.endpoints[0], .protocol = version, .timeout_ms = timeout_ms};
    if (connection_open(&options, &demo->connection) != PULSE_STATUS_SUCCESS) {
        (void)fprintf(stderr, "pulsim-demo: no connection to %s\n", options.endpoint);
        simulator_stop(&demo->simulator);
        return false;
    }
    (void)printf("\n$ pulsim serve");
    for (size_t i = 0; arguments[i] != NULL; i++) {
        (void)printf(" %s", arguments[i]);
    }
    (void)printf("\n$ pulsim-client --connect %s --protocol %u CALL...\n", options.endpoint,
                 version);
    return true;
}

static void stop(struct demo *demo)
{
    connection_close(&demo->connection);
    int code = simulator_stop(&demo->simulator);
    if (code != 0) {
        (void)printf("\n  the simulator ended with %d\n", code);
        demo->show.num_surprises++;
    }
}

static bool show_everything(struct demo *demo)
{
    if (!start(demo, PROTOCOL_V2, TIMEOUT_MS, (const char *[]){"--udp", "127.0.0.1:0", NULL})) {
        return false;
    }
#define GROUP(heading, text)         title(demo, heading, text);
#define STEP(words, answer, meaning) step(demo, words, answer, meaning);
#define WAIT(words, answer, meaning) wait_step(demo, words, answer, meaning);
#include "steps.def"
    stop(demo);
    return true;
}

static bool show_version_1(struct demo *demo)
{
    title(
        demo, "The protocol of 2018",
        "Version 1, which the published client speaks: other status numbers, over TCP this time.");
    if (!start(demo, PROTOCOL_V1, TIMEOUT_MS, (const char *[]){"--tcp", "127.0.0.1:0", NULL})) {
        return false;
    }
    step(demo, "read-msr 0x999", "GENERAL_PROTECTION", "The same #GP, by its number of 2018.");
    step(demo, "write-virtual cr3 0x10 {before} a5*64", "PARTIAL_WRITE  pcbWritten 0x10",
         "The same 16 bytes.");
    stop(demo);
    return true;
}

static bool show_silence(struct demo *demo)
{
    title(
        demo, "When nobody answers",
        "A simulator that misbehaves on purpose; `pulsim serve --help` lists what else it can do.");
    if (!start(demo, PROTOCOL_V2, SILENCE_MS,
               (const char *[]){"--udp", "127.0.0.1:0", "--bug", "silence", NULL})) {
        return false;
    }
    step(demo, "read-msr 0x174", "TIMEOUT",
         "Sent four times in 400 ms, since UDP may lose packets, then given up.");
    stop(demo);
    return true;
}

// --- the program ----------------------------------------------------------------------------

static const struct argp_option options[] = {
    {"pulsim", 'p', "PROGRAM", 0, "The simulator", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct demo *demo = state->input;
    switch (key) {
    case 'p':
        demo->pulsim = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .doc =
        "Starts a simulator and shows a session with it: what is asked, what comes back, and what"
        " it means.",
};

int main(int argc, char **argv)
{
    struct demo demo = {.pulsim = "pulsim", .show.colours = isatty(STDOUT_FILENO) != 0};
    argp_err_exit_status = 2;
    argp_program_version = "pulsim-demo " PULSIM_VERSION;
    argp_parse(&argp, argc, argv, 0, NULL, &demo);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    // Whoever reads this may stop reading; the simulator has to be ended all the same.
    (void)signal(SIGPIPE, SIG_IGN);

    if (!show_everything(&demo) || !show_version_1(&demo) || !show_silence(&demo)) {
        return 1;
    }
    (void)printf(
        "\n%zu calls; %zu answers were not the expected ones. The simulators have ended.\n",
        demo.show.num_steps, demo.show.num_surprises);
    return demo.show.num_surprises == 0 ? 0 : 1;
}
