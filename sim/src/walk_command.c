#include "walk_command.h"

#include <argp.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target_file.h"
#include "target_option.h"
#include "walk_view.h"

enum {
    EXIT_USAGE = 2,
    NAME_SIZE = 2, // of a segment register
};

enum walk_option { OPTION_TARGET = 0x100, OPTION_CPU, OPTION_ROOT, OPTION_ACCESS };

static const struct argp_option options[] = {
    {"target", OPTION_TARGET, TARGET_OPTION_ARGUMENT, 0,
     "Built-in target or target file (" TARGET_OPTION_DEFAULT ")", 0},
    {"cpu", OPTION_CPU, "N", 0, "The CPU whose registers count (0)", 0},
    {"root", OPTION_ROOT, "CR3", 0, "Walk from this root, not from the CPU's", 0},
    {"access", OPTION_ACCESS, "read|write|execute[,user]", 0,
     "Ask whether the CPU may make this access, too", 0},
    {0},
};

struct arguments {
    const struct target *target;
    struct target *file; // of a target file
    uint64_t cpu;
    uint64_t root;
    bool has_root;
    bool has_access;
    struct mmu_access access;
    const char *address;
};

enum parsed { PARSED, PARSED_NO_NUMBER, PARSED_TOO_LARGE };

// Everything up to end is a number. One that begins with 0 is not octal.
static enum parsed parse_number(const char *text, const char *end, uint64_t max, uint64_t *out)
{
    char *stop = NULL;
    bool is_number = *text >= '0' && *text <= '9';
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    errno = 0;
    *out = is_number ? strtoull(text, &stop, is_hex ? 16 : 10) : 0;
    if (!is_number || stop != end) {
        return PARSED_NO_NUMBER;
    }
    return errno == 0 && *out <= max ? PARSED : PARSED_TOO_LARGE;
}

static uint64_t parse_option_number(const struct argp_state *state, const char *option,
                                    const char *text)
{
    uint64_t number = 0;
    enum parsed parsed = parse_number(text, text + strlen(text), UINT64_MAX, &number);
    if (parsed != PARSED) {
        argp_failure(state, EXIT_USAGE, 0, "%s '%s': %s", option, text,
                     parsed == PARSED_TOO_LARGE ? "more than 64 bits" : "not a number");
    }
    return number;
}

static struct mmu_access parse_access(const struct argp_state *state, const char *text)
{
    static const struct {
        const char *name;
        enum mmu_access_kind kind;
    } kinds[] = {
        {"read", MMU_ACCESS_READ}, {"write", MMU_ACCESS_WRITE}, {"execute", MMU_ACCESS_FETCH}};
    size_t len = strcspn(text, ",");
    bool user = strcmp(text + len, ",user") == 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool is_kind = strlen(kinds[i].name) == len && strncmp(text, kinds[i].name, len) == 0;
        if (is_kind && (user || text[len] == '\0')) {
            return (struct mmu_access){.kind = kinds[i].kind, .user = user};
        }
    }
    argp_failure(state, EXIT_USAGE, 0,
                 "--access '%s': not read, write or execute, or one of them "
                 "with ,user behind it",
                 text);
    return (struct mmu_access){0};
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_TARGET:
        arguments->target = target_option(state, text, &arguments->file);
        return 0;
    case OPTION_CPU:
        arguments->cpu = parse_option_number(state, "--cpu", text);
        return 0;
    case OPTION_ROOT:
        arguments->root = parse_option_number(state, "--root", text);
        arguments->has_root = true;
        return 0;
    case OPTION_ACCESS:
        arguments->access = parse_access(state, text);
        arguments->has_access = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->address) {
            argp_failure(state, EXIT_USAGE, 0, "'%s': there is an address already", text);
        }
        arguments->address = text;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_failure(state, EXIT_USAGE, 0, "takes an address");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse_option,
    .args_doc = "ADDRESS|SELECTOR:OFFSET",
    .doc = "Shows where an address leads in a target's initial state, level by level, and why it "
           "stops.\v"
           "ADDRESS is linear. SELECTOR is a number, or the name of a segment register in either "
           "case, "
           "whose selector then counts. Numbers are decimal, or hexadecimal with 0x.",
};

// A selector's number or register, which ends before the colon.
static enum parsed parse_selector(const struct walk_view *view, const char *text, const char *colon,
                                  uint16_t *out)
{
    const struct {
        const char *name;
        const struct segment *segment;
    } registers[] = {
        {"cs", &view->segments.cs}, {"ss", &view->segments.ss}, {"ds", &view->segments.ds},
        {"es", &view->segments.es}, {"fs", &view->segments.fs}, {"gs", &view->segments.gs},
    };
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (colon - text == NAME_SIZE && strncasecmp(text, registers[i].name, NAME_SIZE) == 0) {
            *out = registers[i].segment->selector;
            return PARSED;
        }
    }
    uint64_t number = 0;
    enum parsed parsed = parse_number(text, colon, UINT16_MAX, &number);
    *out = (uint16_t)number;
    return parsed;
}

struct address {
    bool is_far;
    struct far_pointer far; // or
    uint64_t linear;
};

// NULL, or what is wrong with the text.
static const char *parse_address(const struct walk_view *view, const char *text,
                                 struct address *out)
{
    static const char malformed[] =
        "neither a linear address (0xC02FF0) nor SELECTOR:OFFSET (0x33:0x10, fs:0x10)";
    const char *colon = strchr(text, ':');
    const char *number = colon ? colon + 1 : text;
    enum parsed selector = PARSED;
    *out = (struct address){.is_far = colon != NULL};
    if (colon) {
        selector = parse_selector(view, text, colon, &out->far.selector);
    }
    enum parsed offset = parse_number(number, text + strlen(text), UINT64_MAX,
                                      colon ? &out->far.offset : &out->linear);
    if (selector == PARSED_NO_NUMBER || offset == PARSED_NO_NUMBER) {
        return malformed;
    }
    if (selector == PARSED_TOO_LARGE) {
        return "a selector of more than 16 bits";
    }
    if (offset == PARSED_TOO_LARGE) {
        return colon ? "an offset of more than 64 bits" : "an address of more than 64 bits";
    }
    return NULL;
}

static void show(struct walk_view *view, const struct arguments *arguments,
                 const struct address *address)
{
    view->linear = address->linear;
    if (!walk_print_target(view, !arguments->has_root) ||
        (address->is_far && !walk_print_segment(view, address->far))) {
        return;
    }
    mmu_locate(&view->registers, &view->memory, view->linear, &view->walk);
    printf("%-*s0x%016" PRIx64 "\n\n", WALK_LABEL, "linear", view->linear);
    walk_print_split(view);
    walk_print_levels(view);
    walk_print_answer(view);
    if (arguments->has_access) {
        walk_print_access(view, &arguments->access);
    }
}

static int walk(const struct arguments *arguments, struct machine *machine)
{
    struct walk_view view = {.machine = machine, .memory = machine_mmu_memory(machine)};
    if (arguments->cpu >= machine->num_cpus) {
        warnx("--cpu %" PRIu64 ": the CPUs of %s are 0 to %u", arguments->cpu,
              machine->target->name, machine->num_cpus - 1);
        return EXIT_USAGE;
    }
    view.cpu = (unsigned)arguments->cpu;
    cpu_mmu_registers(machine, &machine->cpus[view.cpu], &view.registers);
    cpu_segments(&machine->cpus[view.cpu], &view.segments);
    if (arguments->has_root) {
        view.registers.cr3 = arguments->root;
        view.registers.pdptes_loaded = false;
    }
    struct address address;
    const char *error = parse_address(&view, arguments->address, &address);
    if (error) {
        warnx("'%s': %s", arguments->address, error);
        return EXIT_USAGE;
    }
    show(&view, arguments, &address);
    return EXIT_SUCCESS;
}

int walk_main(int argc, char **argv)
{
    struct arguments arguments = {.target = target_find(TARGET_OPTION_DEFAULT)};
    const char *error = NULL;
    error_t failure = argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (failure) {
        warnx("the options cannot be read: %s", strerror(failure));
        return EXIT_FAILURE;
    }
    struct machine *machine = machine_new(arguments.target, &error);
    if (!machine) {
        warnx("%s", error);
    }
    int code = machine ? walk(&arguments, machine) : EXIT_FAILURE;
    machine_free(machine);
    target_file_free(arguments.file);
    return code;
}
