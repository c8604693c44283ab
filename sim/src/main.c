// pulsim: a modelled debuggee behind the debug protocol.

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "pulsim/pulsim.h"
#include "resume.h"
#include "serve.h"
#include "target.h"
#include "target_file.h"
#include "vmcs_command.h"
#include "walk_command.h"

enum { EXIT_USAGE = 2, ERROR_SIZE = 256, NAME_SIZE = 64 };

static int targets_main(int argc, char **argv)
{
    if (argc != 1) {
        (void)fprintf(stderr, "%s: takes no argument\n", argv[0]);
        return EXIT_USAGE;
    }
    const struct target *target = target_at(0);
    for (size_t i = 0; target; target = target_at(++i)) {
        printf("%-12s %2u CPU%s  %s\n", target->name, target->num_cpus,
               target->num_cpus == 1 ? " " : "s", target->summary);
    }
    return EXIT_SUCCESS;
}

static void print_note(void *user, const char *line)
{
    printf("%s: note: %s\n", (const char *)user, line);
}

// A good target may be one that only lies there: each CPU that cannot run is worth a note.
static bool check_cpus(char *path, const struct target *target)
{
    const char *error = "";
    struct machine *machine = machine_new(target, &error);
    if (!machine) {
        (void)fprintf(stderr, "%s: %s\n", path, error);
        return false;
    }
    printf("%s: good\n", path);
    machine->log = print_note;
    machine->log_user = path;
    for (unsigned i = 0; i < machine->num_cpus; i++) {
        if (resume_check(machine, i)) {
            (void)machine_can_run(machine, i);
        }
    }
    machine_free(machine);
    return true;
}

static int check_main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        (void)fprintf(stderr, "%s: takes one target file\n", argv[0]);
        return EXIT_USAGE;
    }
    char error[ERROR_SIZE] = "";
    struct target *target = target_file_load(argv[1], error, sizeof(error));
    if (!target) {
        (void)fprintf(stderr, "%s\n", error);
        return EXIT_FAILURE;
    }
    bool is_good = check_cpus(argv[1], target);
    target_file_free(target);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct command {
    const char *name;
    const char *arguments;
    const char *text;
    int (*run)(int argc, char **argv);
    bool has_help; // of its own
} commands[] = {
    {"serve", "[OPTION...]", "serves a debuggee (see pulsim serve --help)", serve_main, true},
    {"targets", "", "lists the built-in targets", targets_main, false},
    {"check", "FILE.yaml", "validates a target file", check_main, false},
    {"vmcs", "[OPTION...]", "prints a CPU's VMCS (see pulsim vmcs --help)", vmcs_main, true},
    {"walk", "ADDRESS", "shows where an address leads (see pulsim walk --help)", walk_main, true},
};

enum { NUM_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out)
{
    (void)fprintf(out, "Usage: pulsim COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        (void)fprintf(out, "  %-8s %-12s %s\n", commands[i].name, commands[i].arguments,
                      commands[i].text);
    }
    (void)fprintf(out, "\n  --help     prints this\n  --version  prints the version\n");
}

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    (void)fprintf(out, "pulsim " PULSIM_VERSION "\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

// argv[0] is the command's name, and becomes what its messages begin with.
static int run_command(int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    if (!command) {
        (void)fprintf(stderr, "pulsim: there is no command '%s' (pulsim --help shows them)\n",
                      argv[0]);
        return EXIT_USAGE;
    }
    if (!command->has_help && argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "pulsim %s", command->name);
    argv[0] = name;
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = print_version;
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version(stdout, NULL);
        return EXIT_SUCCESS;
    }
    return run_command(argc - 1, argv + 1);
}
