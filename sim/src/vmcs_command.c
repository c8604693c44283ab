#include "vmcs_command.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>

#include "machine.h"
#include "target_file.h"
#include "vmcs_print.h"

enum { EXIT_USAGE = 2, ERROR_SIZE = 256 };

struct choice {
    const char *target;
    unsigned long cpu;
};

static const struct argp_option options[] = {
    {"target", 't', "NAME|FILE.yaml", 0, "Built-in target or target file (long64)", 0},
    {"cpu", 'c', "N", 0, "The CPU whose VMCS is printed (0)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct choice *choice = state->input;
    char *end = NULL;
    switch (key) {
    case 't':
        choice->target = argument;
        return 0;
    case 'c':
        errno = 0;
        choice->cpu = strtoul(argument, &end, 10);
        if (errno != 0 || end == argument || *end != '\0' || *argument == '-') {
            argp_error(state, "--cpu takes a number, not %s", argument);
        }
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "takes no argument: %s", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print(const struct target *target, const struct choice *choice, const char *name)
{
    const char *reason = NULL;
    struct machine *machine = machine_new(target, &reason);
    if (!machine) {
        (void)fprintf(stderr, "%s: %s: %s\n", name, target->name, reason);
        return EXIT_FAILURE;
    }
    int code = EXIT_SUCCESS;
    if (choice->cpu < machine->num_cpus) {
        vmcs_print(stdout, machine, (unsigned)choice->cpu);
    } else {
        (void)fprintf(stderr, "%s: %s has no CPU %lu: it has %u\n", name, target->name, choice->cpu,
                      machine->num_cpus);
        code = EXIT_FAILURE;
    }
    machine_free(machine);
    return code;
}

// Ends the program when there is no such target. out_loaded is to be freed.
static const struct target *find(const char *text, const char *name, struct target **out_loaded)
{
    const struct target *target = target_find(text);
    char error[ERROR_SIZE] = "";
    if (target) {
        return target;
    }
    if (!target_file_is_name(text)) {
        (void)fprintf(stderr,
                      "%s: --target '%s': neither a built-in target (see pulsim targets) nor a "
                      ".yaml file\n",
                      name, text);
        exit(EXIT_USAGE);
    }
    *out_loaded = target_file_load(text, error, sizeof(error));
    if (!*out_loaded) {
        (void)fprintf(stderr, "%s: %s\n", name, error);
        exit(EXIT_FAILURE);
    }
    return *out_loaded;
}

int vmcs_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Prints the VMCS of a target's CPU: whether VM entry takes it, the controls and what "
            "the processor allows of them, guest state, host state, and the last VM exit.",
    };
    struct choice choice = {.target = "long64"};
    argp_parse(&argp, argc, argv, 0, NULL, &choice);
    struct target *loaded = NULL;
    const struct target *target = find(choice.target, argv[0], &loaded);
    int code = print(target, &choice, argv[0]);
    target_file_free(loaded);
    return code;
}
