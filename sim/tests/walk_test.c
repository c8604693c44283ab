// What `pulsim walk` prints: the files in tests/walk hold commands, `$ pulsim walk ...`, each with
// its output behind it. Every command is a test. `--write` (./dev rebase) writes the files anew.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

enum { MAX_FILE = 1 << 18, MAX_COMMANDS = 256, COLUMNS = 100 };

#define PROMPT "$ pulsim walk "

static const char *const files[] = {"long64.txt", "access.txt", "segments.txt", "modes.txt",
                                    "bits.txt"};

struct command {
    char *line;         // without the prompt
    const char *output; // what the file says, up to the next command
    size_t output_len;
};

struct file {
    char text[MAX_FILE];
    struct command commands[MAX_COMMANDS];
    size_t num_commands;
};

static struct file loaded[NUM_OF(files)];

static char *copy_line(const char *text)
{
    size_t len = strcspn(text, "\n");
    char *line = calloc(len + 1, 1);
    if (line) {
        memcpy(line, text, len);
    }
    return line;
}

static void load(const char *name, struct file *out)
{
    FILE *in = fopen(name, "rb");
    assert_non_null(in);
    size_t len = fread(out->text, 1, sizeof(out->text) - 1, in);
    assert_true(len < sizeof(out->text) - 1);
    assert_int_equal(fclose(in), 0);
    char *at = out->text;
    while (*at != '\0') {
        assert_memory_equal(at, PROMPT, sizeof(PROMPT) - 1);
        assert_true(out->num_commands < MAX_COMMANDS);
        struct command *command = &out->commands[out->num_commands++];
        command->line = copy_line(at + sizeof(PROMPT) - 1);
        assert_non_null(command->line);
        at += strcspn(at, "\n");
        at += *at != '\0';
        command->output = at;
        const char *next = strstr(at, "\n" PROMPT);
        bool is_empty = strncmp(at, PROMPT, sizeof(PROMPT) - 1) == 0;
        command->output_len = is_empty ? 0 : next ? (size_t)(next + 1 - at) : strlen(at);
        at += command->output_len;
    }
}

static void run(const struct command *command, struct program_end *out)
{
    const char *args[PROGRAM_ARGS + 1] = {"walk"};
    size_t num = 1;
    char *words = copy_line(command->line);
    char *rest = NULL;
    assert_non_null(words);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(num < PROGRAM_ARGS);
        args[num++] = word;
    }
    program_run(args, out);
    free(words);
}

static void prints_what_the_file_says(void **state)
{
    const struct command *command = *state;
    struct program_end end;
    run(command, &end);
    assert_string_equal(end.err, "");
    assert_int_equal(end.code, 0);
    for (const char *line = end.out; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= COLUMNS);
    }
    if (strlen(end.out) != command->output_len ||
        memcmp(end.out, command->output, command->output_len) != 0) {
        fail_msg("it printed (./dev rebase writes the files anew):\n%s", end.out);
    }
}

static void write_file(const char *name, const struct file *file)
{
    FILE *out = fopen(name, "wb");
    assert_non_null(out);
    for (size_t i = 0; i < file->num_commands; i++) {
        struct program_end end;
        run(&file->commands[i], &end);
        assert_int_equal(end.code, 0);
        assert_true(fprintf(out, PROMPT "%s\n%s", file->commands[i].line, end.out) > 0);
    }
    assert_int_equal(fclose(out), 0);
}

static void writes_the_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_OF(files); i++) {
        write_file(files[i], &loaded[i]);
    }
}

static int load_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_OF(files); i++) {
        load(files[i], &loaded[i]);
    }
    return 0;
}

static int run_all(void)
{
    static struct CMUnitTest tests[NUM_OF(files) * MAX_COMMANDS];
    size_t num = 0;
    for (size_t i = 0; i < NUM_OF(files); i++) {
        for (size_t j = 0; j < loaded[i].num_commands; j++) {
            struct command *command = &loaded[i].commands[j];
            tests[num++] =
                (struct CMUnitTest){command->line, prints_what_the_file_says, NULL, NULL, command};
        }
    }
    return _cmocka_run_group_tests("walk", tests, num, NULL, NULL);
}

static void free_all(void)
{
    for (size_t i = 0; i < NUM_OF(files); i++) {
        for (size_t j = 0; j < loaded[i].num_commands; j++) {
            free(loaded[i].commands[j].line);
        }
    }
}

int main(int argc, char **argv)
{
    bool is_writing = argc == 2 && strcmp(argv[1], "--write") == 0;
    const struct CMUnitTest writing[] = {cmocka_unit_test(writes_the_files)};
    if (chdir(WALK_DIRECTORY) != 0) {
        perror(WALK_DIRECTORY);
        return EXIT_FAILURE;
    }
    load_all(NULL);
    int failures = is_writing ? cmocka_run_group_tests(writing, NULL, NULL) : run_all();
    free_all();
    return failures;
}
