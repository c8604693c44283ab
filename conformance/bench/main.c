// pulsim-bench: how fast pulsim answers, beside what the host allows.

#include <argp.h>
#include <err.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "pulsim/pulsim.h"

enum { EXIT_USAGE = 2 };

static const struct section {
    const char *name;
    bench_section *run;
} sections[] = {
    {"udp", bench_transport},       {"tcp", bench_transport}, {"unix", bench_transport},
    {"library", bench_library},     {"models", bench_models}, {"start", bench_start},
    {"gdbserver", bench_gdbserver}, {"qemu", bench_qemu},
};

enum { NUM_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

enum option_key {
    OPTION_PULSIM = 0x100,
    OPTION_JSON,
    OPTION_SECONDS,
    OPTION_ONLY,
    OPTION_SKIP,
    OPTION_PIN,
};

static const struct argp_option options[] = {
    {"json", OPTION_JSON, NULL, 0, "Print one JSON object instead of a table", 0},
    {"seconds", OPTION_SECONDS, "N", 0, "Length of one of the five runs of a measurement (0.25)",
     0},
    {"only", OPTION_ONLY, "NAME", 0, "Measure this section (repeatable)", 0},
    {"skip", OPTION_SKIP, "NAME", 0, "Leave this section out (repeatable)", 0},
    {"pin", OPTION_PIN, "CPU", 0, "Run everything on one processor", 0},
    {"pulsim", OPTION_PULSIM, "PATH", 0, "The program to measure (" PULSIM_PROGRAM ")", 0},
    {0},
};

struct arguments {
    struct bench bench;
    struct report_settings settings;
    bool any_only;
    bool only[NUM_SECTIONS];
    bool skip[NUM_SECTIONS];
};

static double parse_number(const struct argp_state *state, const char *option, const char *text,
                           double highest)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= 0 && number <= highest)) {
        argp_failure(state, EXIT_USAGE, 0, "%s '%s': not a number from 0 to %g", option, text,
                     highest);
    }
    return number;
}

static void mark(const struct argp_state *state, const char *name, bool marks[NUM_SECTIONS])
{
    for (size_t i = 0; i < NUM_SECTIONS; i++) {
        if (strcmp(sections[i].name, name) == 0) {
            marks[i] = true;
            return;
        }
    }
    argp_failure(state, EXIT_USAGE, 0, "there is no section '%s' (--help shows them)", name);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    enum { LONGEST_RUN = 3600 };
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_PULSIM:
        arguments->bench.pulsim = text;
        return 0;
    case OPTION_JSON:
        arguments->settings.json = true;
        return 0;
    case OPTION_SECONDS:
        arguments->settings.seconds = parse_number(state, "--seconds", text, LONGEST_RUN);
        return 0;
    case OPTION_ONLY:
        mark(state, text, arguments->only);
        arguments->any_only = true;
        return 0;
    case OPTION_SKIP:
        mark(state, text, arguments->skip);
        return 0;
    case OPTION_PIN:
        arguments->settings.pinned = (int)parse_number(state, "--pin", text, CPU_SETSIZE - 1);
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, EXIT_USAGE, 0, "'%s' is not an option", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// Children inherit it.
static void pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        err(EXIT_FAILURE, "--pin %d", processor);
    }
}

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    (void)fprintf(out, "pulsim-bench " PULSIM_VERSION "\n");
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .doc = "Measures how fast pulsim answers, beside what the host allows.\v"
           "Sections: udp, tcp and unix (requests over a socket, each beside a bare echo), library "
           "(the same in process), models (inner loops), start (time to the first reply, memory), "
           "gdbserver and qemu (other stubs, where installed). Goals are printed, not judged.",
};

static bool is_wanted(const struct arguments *arguments, size_t section)
{
    return (!arguments->any_only || arguments->only[section]) && !arguments->skip[section];
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .bench = {.pulsim = PULSIM_PROGRAM},
        .settings = {.seconds = 0.25, .pinned = -1},
    };
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (error) {
        errx(EXIT_FAILURE, "the options cannot be read: %s", strerror(error));
    }
    if (arguments.settings.pinned >= 0) {
        pin(arguments.settings.pinned);
    }
    child_guard();
    struct bench *bench = &arguments.bench;
    bench->seconds = arguments.settings.seconds;
    report_begin(&bench->report, &arguments.settings);
    for (size_t i = 0; i < NUM_SECTIONS; i++) {
        if (is_wanted(&arguments, i)) {
            sections[i].run(bench, sections[i].name);
        }
    }
    if (!report_end(&bench->report)) {
        err(EXIT_FAILURE, "standard output");
    }
    return EXIT_SUCCESS;
}
