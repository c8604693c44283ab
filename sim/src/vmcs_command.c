#include "vmcs_command.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>

#include "machine.h"
#include "target_file.h"
#include "target_option.h"
#include "vmcs_print.h"

struct choice {
    const struct target *target;
    struct target *file; // of which it was loaded; NULL: built in
    unsigned long cpu;
};

static const struct argp_option options[] = {
    {"target", 't', TARGET_OPTION_ARGUMENT, 0,
     "Built-in target or target file (" TARGET_OPTION_DEFAULT ")", 0},
    {"cpu", 'c', "N", 0, "The CPU whose VMCS is printed (0)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct choice *choice = state->input;
    char *end = NULL;
    switch (key) {
    case 't':
        choice->target = target_option(state, argument, &choice->file);
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

static int print(const struct choice *choice, const char *name)
{
    const struct target *target = choice->target;
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

int vmcs_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Prints the VMCS of a target's CPU: whether VM entry takes it, the controls and what "
            "the processor allows of them, guest state, host state, and the last VM exit.",
    };
    struct choice choice = {.target = target_find(TARGET_OPTION_DEFAULT)};
    argp_parse(&argp, argc, argv, 0, NULL, &choice);
    int code = print(&choice, argv[0]);
    target_file_free(choice.file);
    return code;
}
