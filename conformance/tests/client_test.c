// The program: exit codes, lines of JSON, usage errors. Its path is in PULSIM_CLIENT.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"

extern char **environ;

struct row {
    const char *name;
    const char *words; // behind the program's name; $ stands for the model's endpoint
    int code;
    const char *out;    // with ' for "; NULL: anything
    const char *errors; // what standard error contains; NULL: nothing
};

#define PING "{'call':'ping','status':'0x00000000','status_name':'SUCCESS'}\n"
#define NO_MSR                                                                                     \
    "{'call':'read-msr','status':'0xc001000d','status_name':'EXCEPTION_GENERAL_PROTECTION'}\n"

static struct row rows[] = {
    {"a call that succeeds", "--connect $ ping", 0, PING, NULL},
    {"a call that fails", "--connect $ read-msr 0x999", 1, NO_MSR, NULL},
    {"calls go on after one that fails", "--connect $ read-msr 0x999 -- ping", 1, NO_MSR PING,
     NULL},
    {"three calls", "--connect $ ping -- write-msr 4 7 -- read-msr 4", 0,
     PING "{'call':'write-msr','status':'0x00000000','status_name':'SUCCESS'}\n"
          "{'call':'read-msr','status':'0x00000000','status_name':'SUCCESS','pMsrValue':'0x7'}\n",
     NULL},
    {"a partial transfer is of the success class", "--connect $ write-linear cr3 0x203f 0102", 0,
     "{'call':'write-linear','status':'0x00000002','status_name':'PARTIAL_WRITE',"
     "'pcbWritten':'0x1'}\n",
     NULL},
    {"cr3 is the current root",
     "--connect $ write-linear cr3 0x2000 55*4 -- read-linear cr3 0x2000 4", 0,
     "{'call':'write-linear','status':'0x00000000','status_name':'SUCCESS','pcbWritten':'0x4'}\n"
     "{'call':'read-linear','status':'0x00000000','status_name':'SUCCESS','pBuffer':'55555555',"
     "'pcbRead':'0x4'}\n",
     NULL},
    {"DR7 alone leaves DR6 as it is",
     "--connect $ set-context dr6=0x11 dr7=0x22 -- set-context dr7=0x33 -- set-context dr6=0x44"
     " -- get-context 0x8000000000000000",
     0,
     "{'call':'set-context','status':'0x00000000','status_name':'SUCCESS'}\n"
     "{'call':'set-context','status':'0x00000000','status_name':'SUCCESS'}\n"
     "{'call':'set-context','status':'0x00000000','status_name':'SUCCESS'}\n"
     "{'call':'get-context','status':'0x00000000','status_name':'SUCCESS','pContext':"
     "{'dr6':'0x44','dr7':'0x33'},'pCpuMode':'0x5'}\n",
     NULL},
    {"S_OK for a part", "--connect $ dbgeng-read-virtual 0x203f 2", 0,
     "{'call':'dbgeng-read-virtual','status':'0x00000000','status_name':'S_OK','Buffer':'00',"
     "'BytesRead':'0x1'}\n",
     NULL},
    {"E_FAIL for nothing", "--connect $ dbgeng-write-virtual-uncached 0x9000 00", 1,
     "{'call':'dbgeng-write-virtual-uncached','status':'0x80004005','status_name':'E_FAIL',"
     "'BytesWritten':'0x0'}\n",
     NULL},
    {"FALSE for a part", "--connect $ wdbgexts-write-memory 0x203f 0102", 1,
     "{'call':'wdbgexts-write-memory','status':'0x00000000','status_name':'FALSE',"
     "'lpcbBytesWritten':'0x1'}\n",
     NULL},
    {"TRUE for everything", "--connect $ wdbgexts-read-memory 0x203f 1", 0,
     "{'call':'wdbgexts-read-memory','status':'0x00000001','status_name':'TRUE','lpbuffer':'00',"
     "'lpcbBytesRead':'0x1'}\n",
     NULL},
    {"version 1 has its numbers", "--connect $ --protocol 1 read-msr 0x999", 1,
     "{'call':'read-msr','status':'0xc0000045','status_name':'GENERAL_PROTECTION'}\n", NULL},
    {"the version is asked for", "--connect $ --protocol any ping", 0, PING, NULL},
    {"short options", "-c $ -p 2 -t 1000 ping", 0, PING, NULL},

    {"no connection", "--connect unix:/nonexistent ping", 3, "",
     "no connection to unix:/nonexistent: No such file or directory"},
    {"no connection over TCP", "--connect tcp:127.0.0.1:1 ping", 3, "", "Connection refused"},
    {"no connection to ask for the version", "--connect unix:/nonexistent --protocol any ping", 3,
     "", "no connection"},

    {"an endpoint that is none", "--connect nowhere ping", 2, "", "nowhere: no udp:HOST:PORT"},
    {"a port that is none", "--connect udp:localhost:x ping", 2, "", "udp:localhost:x: no udp"},
    {"no endpoint", "ping", 2, "", "--connect is missing"},
    {"no call", "--connect $", 2, "", "a call is missing"},
    {"only a separator", "--connect $ --", 2, "", "a call is missing"},
    {"an unknown call", "--connect $ frobnicate", 2, "", "frobnicate: there is no such call"},
    {"an unknown call after a good one sends nothing", "--connect unix:/nonexistent ping -- pong",
     2, "", "pong: there is no such call"},
    {"an empty call", "--connect $ ping -- -- ping", 2, "", "a call is missing between"},
    {"an empty last call", "--connect $ ping --", 2, "", "a call is missing between"},
    {"a missing word", "--connect $ read-msr", 2, "", "read-msr: N is missing"},
    {"a word too many", "--connect $ ping now", 2, "", "ping: unexpected word 'now'"},
    {"options end with the first call", "--connect $ ping --timeout 5", 2, "",
     "ping: unexpected word '--timeout'"},
    {"an unknown option", "--frobnicate", 2, "", "unrecognized option"},
    {"an unknown protocol", "--connect $ --protocol 3 ping", 2, "", "protocol is 1, 2 or any"},
    {"a timeout that is no number", "--connect $ --timeout soon ping", 2, "",
     "timeout is a number of milliseconds"},
    {"a driver with calls", "--driver ping", 2, "", "takes its connections and calls from"},
    {"an option without its value", "--connect", 2, "", "requires an argument"},

    {"help", "--help", 0, NULL, NULL},
    {"version", "--version", 0, "pulsim-client " PULSIM_VERSION "\n", NULL},
    {"an idle driver", "--driver", 0, "", NULL},
};

// --- running the program --------------------------------------------------------------------

struct run {
    int code;
    char out[65536];
    char errors[8192];
};

static void read_back(FILE *file, char *out, size_t size)
{
    rewind(file);
    size_t len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    (void)fclose(file);
}

static void run_program(char **arguments, struct run *out)
{
    FILE *output = tmpfile();
    FILE *errors = tmpfile();
    assert_non_null(output);
    assert_non_null(errors);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
    pid_t child = 0;
    int error = posix_spawn(&child, PULSIM_CLIENT, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(error, 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    read_back(output, out->out, sizeof(out->out));
    read_back(errors, out->errors, sizeof(out->errors));
}

static char *quoted(const char *text)
{
    char *copy = strdup(text);
    for (char *at = strchr(copy, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    return copy;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    static struct run run;
    struct model model = {0};
    struct fake fake;
    fake_start(&fake, pttTcp, model_answer, &model);
    char *text = strdup(row->words);
    char *arguments[32] = {(char *)(uintptr_t) "pulsim-client"};
    size_t num_arguments = 1;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        arguments[num_arguments++] = strcmp(word, "$") == 0 ? fake.endpoint : word;
    }
    run_program(arguments, &run);
    fake_stop(&fake);
    free(text);

    if (row->errors != NULL) {
        assert_non_null(strstr(run.errors, row->errors));
    } else {
        assert_string_equal(run.errors, "");
    }
    if (row->out != NULL) {
        char *expected = quoted(row->out);
        assert_string_equal(run.out, expected);
        free(expected);
    }
    assert_int_equal(run.code, row->code);
}

static const char *const commands[] = {
#define CALL(tag, command, name, function, versions, result) command,
#include "calls.def"
};

static void test_help_names_every_call(void **state)
{
    (void)state;
    static struct run run;
    char *arguments[] = {(char *)(uintptr_t) "pulsim-client", (char *)(uintptr_t) "--help", NULL};
    run_program(arguments, &run);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_non_null(strstr(run.out, commands[i]));
    }
}

static void test_text_goes_to_standard_error(void **state)
{
    (void)state;
    static struct run run;
    struct model model = {.talks = true};
    struct fake fake;
    fake_start(&fake, pttNet, model_answer, &model);
    char *arguments[] = {(char *)(uintptr_t) "pulsim-client", (char *)(uintptr_t) "--connect",
                         fake.endpoint, (char *)(uintptr_t) "ping", NULL};
    run_program(arguments, &run);
    fake_stop(&fake);
    assert_string_equal(run.errors, "hello\r\n");
    assert_int_equal(run.code, 0);
}

int main(void)
{
    enum { NUM_ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[NUM_ROWS + 2];
    for (size_t i = 0; i < NUM_ROWS; i++) {
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, &rows[i]};
    }
    tests[NUM_ROWS] = (struct CMUnitTest)cmocka_unit_test(test_help_names_every_call);
    tests[NUM_ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_text_goes_to_standard_error);
    return cmocka_run_group_tests_name("pulsim-client", tests, NULL, NULL);
}
