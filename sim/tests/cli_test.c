// The command line of pulsim: what is wrong is said in one line, with exit code 2 for wrong usage
// and 1 for what the host refuses.

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

struct cli_case {
    const char *sentence;
    const char *args[6];
    int code;
    const char *says; // on standard output when the code is 0, otherwise on standard error
};

#define LONG_PATH                                                                                  \
    "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"                  \
    "0123456789012345678901234567890123456789"

static struct cli_case cases[] = {
    {"help", {"--help"}, 0, "Usage: pulsim COMMAND"},
    {"version", {"--version"}, 0, "pulsim 0.1.0\n"},
    {"help of serve", {"serve", "--help"}, 0, "--poll-interval=MICROSECONDS"},
    {"version of serve", {"serve", "--version"}, 0, "pulsim 0.1.0\n"},
    {"help of targets", {"targets", "--help"}, 0, "Usage: pulsim COMMAND"},
    {"help of check", {"check", "--help"}, 0, "Usage: pulsim COMMAND"},
    {"help of vmcs", {"vmcs", "--help"}, 0, "--cpu=N"},
    {"targets", {"targets"}, 0, "long64"},
    {"help of walk", {"walk", "--help"}, 0, "--access=read|write|execute[,user]"},
    {"version of walk", {"walk", "--version"}, 0, "pulsim 0.1.0\n"},
    {"a walk", {"walk", "0xC02FF0"}, 0, "4 KiB page at 0x000000111000"},
    {"a decimal address", {"walk", "12587008"}, 0, "guest-physical  0x000000113000, RAM"},
    {"a decimal address with a leading zero",
     {"walk", "010"},
     0,
     "linear          0x000000000000000a"},
    {"bugs", {"serve", "--bug", "list"}, 0, "silence-after=N"},

    {"nothing", {NULL}, 2, "Usage: pulsim COMMAND"},
    {"an unknown command", {"simulate"}, 2, "there is no command 'simulate'"},
    {"an unknown option", {"serve", "--no-such-option"}, 2, "unrecognized option"},
    {"an unknown option of the program", {"--no-such-option"}, 2, "there is no command"},
    {"an option without its argument", {"serve", "--udp"}, 2, "requires an argument"},
    {"a word too many", {"serve", "long64"}, 2, "'long64' is not an option"},
    {"targets with an argument", {"targets", "long64"}, 2, "takes no argument"},
    {"check without a file", {"check"}, 2, "takes one target file"},
    {"check with two files", {"check", "a.yaml", "b.yaml"}, 2, "takes one target file"},
    {"vmcs with a word", {"vmcs", "long64"}, 2, "takes no argument: long64"},
    {"vmcs of a CPU in words", {"vmcs", "--cpu=one"}, 2, "--cpu takes a number, not one"},
    {"vmcs of a negative CPU", {"vmcs", "--cpu=-1"}, 2, "--cpu takes a number, not -1"},
    {"vmcs of a CPU that there is not", {"vmcs", "--cpu=4"}, 1, "has no CPU 4: it has 4"},
    {"vmcs of an unknown target", {"vmcs", "--target=long128"}, 2, "neither a built-in target"},
    {"vmcs of a missing file", {"vmcs", "--target=/no/such/file.yaml"}, 1, "/no/such/file.yaml"},

    {"an address without a port", {"serve", "--udp=127.0.0.1"}, 2, "not HOST:PORT"},
    {"an address without a host", {"serve", "--udp=:5000"}, 2, "not an IPv4 address"},
    {"an empty port", {"serve", "--tcp=127.0.0.1:"}, 2, "not HOST:PORT"},
    {"a port with letters", {"serve", "--tcp=127.0.0.1:50x"}, 2, "not HOST:PORT"},
    {"a port that is too high", {"serve", "--tcp=127.0.0.1:65536"}, 2, "not HOST:PORT"},
    {"a port with too many digits", {"serve", "--udp=127.0.0.1:000001"}, 2, "not HOST:PORT"},
    {"a host name", {"serve", "--udp=example:50100"}, 2, "not an IPv4 address"},
    {"an octet that is too high", {"serve", "--udp=127.0.0.256:1"}, 2, "not an IPv4 address"},
    {"a bad IPv6 address", {"serve", "--udp=[::g]:1"}, 2, "not an IPv6 address"},
    {"a host that is too long", {"serve", "--udp=" LONG_PATH ":1"}, 2, "too long"},
    {"an empty path", {"serve", "--unix="}, 2, "empty"},
    {"a path that is too long", {"serve", "--unix=" LONG_PATH}, 2, "too long"},
    {"a remote IPv4 address", {"serve", "--udp=0.0.0.0:0"}, 2, "--allow-remote permits it"},
    {"a remote IPv6 address", {"serve", "--tcp=[::]:0"}, 2, "--allow-remote permits it"},
    {"an address of nobody here",
     {"serve", "--allow-remote", "--udp=192.0.2.1:0"},
     1,
     "udp 192.0.2.1:0: Cannot assign requested address"},
    {"a path that is nowhere",
     {"serve", "--unix=/no/such/directory/socket"},
     1,
     "No such file or directory"},
    {"a link that is nowhere",
     {"serve", "--pty=/no/such/directory/line"},
     1,
     "No such file or directory"},
    {"a good endpoint before a bad one",
     {"serve", "--udp=127.0.0.1:0", "--unix=/no/such/directory/socket"},
     1,
     "No such file or directory"},

    {"a walk without an address", {"walk"}, 2, "takes an address"},
    {"a walk to two addresses", {"walk", "1", "2"}, 2, "there is an address already"},
    {"a walk to a word", {"walk", "main"}, 2, "neither a linear address (0xC02FF0)"},
    {"an empty address", {"walk", ""}, 2, "neither a linear address (0xC02FF0)"},
    {"an address with a tail", {"walk", "0x1000x"}, 2, "neither a linear address (0xC02FF0)"},
    {"a negative address", {"walk", "--", "-1"}, 2, "neither a linear address (0xC02FF0)"},
    {"an address of 65 bits", {"walk", "0x10000000000000000"}, 2, "address of more than 64 bits"},
    {"2^64", {"walk", "18446744073709551616"}, 2, "address of more than 64 bits"},
    {"65 bits with a tail", {"walk", "0x10000000000000000x"}, 2, "neither a linear address"},
    {"an unknown segment register", {"walk", "ps:0"}, 2, "nor SELECTOR:OFFSET"},
    {"a selector of 17 bits", {"walk", "0x10000:0"}, 2, "a selector of more than 16 bits"},
    {"the last selector", {"walk", "0xFFFF:0"}, 0, "selector        0xffff"},
    {"a selector of 17 bits to nowhere", {"walk", "0x10000:"}, 2, "nor SELECTOR:OFFSET"},
    {"a selector of 65 bits", {"walk", "0x10000000000000000:0"}, 2, "selector of more than 16"},
    {"an offset of 65 bits", {"walk", "fs:0x10000000000000000"}, 2, "offset of more than 64"},
    {"a selector without an offset", {"walk", "0x10:"}, 2, "nor SELECTOR:OFFSET"},
    {"an offset without a selector", {"walk", ":0x10"}, 2, "nor SELECTOR:OFFSET"},
    {"two offsets", {"walk", "0x10:0:0"}, 2, "nor SELECTOR:OFFSET"},
    {"a CPU that is not there", {"walk", "--cpu=4", "0"}, 2, "the CPUs of long64 are 0 to 3"},
    {"a CPU in words", {"walk", "--cpu=one", "0"}, 2, "--cpu 'one': not a number"},
    {"a CPU of 65 bits", {"walk", "--cpu=0x10000000000000000", "0"}, 2, "more than 64 bits"},
    {"a root of 65 bits", {"walk", "--root=0x10000000000000000", "0"}, 2, "more than 64 bits"},
    {"a root in words", {"walk", "--root=cr3", "0"}, 2, "--root 'cr3': not a number"},
    {"an unknown access", {"walk", "--access=fetch", "0"}, 2, "not read, write or execute"},
    {"an access of nobody", {"walk", "--access=read,", "0"}, 2, "not read, write or execute"},
    {"half an access", {"walk", "--access=rea", "0"}, 2, "not read, write or execute"},
    {"a walk in an unknown target", {"walk", "--target=x", "0"}, 2, "neither a built-in target"},
    {"a walk in a missing file", {"walk", "--target=/no/such.yaml", "0"}, 1, "/no/such.yaml"},

    {"an unknown target", {"serve", "--target=long128"}, 2, "neither a built-in target"},
    {"a missing target file", {"serve", "--target=/no/such/file.yaml"}, 1, "/no/such/file.yaml"},
    {"a missing file to check", {"check", "/no/such/file.yaml"}, 1, "/no/such/file.yaml"},
    {"an unknown protocol", {"serve", "--protocol=3"}, 2, "not 1, 2 or any"},
    {"an unknown compatibility", {"serve", "--compat=other"}, 2, "pulse-2018-client"},
    {"an unknown way to run", {"serve", "--run=fast"}, 2, "not free or lockstep"},
    {"a poll interval in words", {"serve", "--poll-interval=soon"}, 2, "not a number"},
    {"a negative poll interval", {"serve", "--poll-interval=-1"}, 2, "not a number"},
    {"a poll interval without end", {"serve", "--poll-interval=1000001"}, 2, "not a number"},
    {"no peers", {"serve", "--max-peers=0"}, 2, "room for one"},
    {"peers in words", {"serve", "--max-peers=8x"}, 2, "not a number"},
    {"an empty seed", {"serve", "--seed="}, 2, "not a number"},
    {"an unknown bug", {"serve", "--bug=none"}, 2, "there is no bug 'none'"},
    {"a bug without its argument", {"serve", "--bug=truncate"}, 2, "needs =N"},
    {"a bug with a superfluous argument", {"serve", "--bug=silence=1"}, 2, "takes no argument"},
    {"a bug whose argument is too high", {"serve", "--bug=lose=101"}, 2, "from 0 to 100"},
};

enum { NUM_CASES = NUM_OF(cases) };

// argp says what is wrong with an option's form in a line of its own and refers to --help in
// another.
static bool is_short(const char *text)
{
    const char *newline = strchr(text, '\n');
    return newline && (newline[1] == '\0' || strncmp(newline + 1, "Try ", 4) == 0);
}

static void exits_and_says(void **state)
{
    const struct cli_case *row = *state;
    struct program_end end;
    program_run(row->args, &end);
    if (end.code != row->code) {
        fail_msg("exit code %d, standard error: %s", end.code, end.err);
    }
    const char *said = row->code == 0 ? end.out : end.err;
    const char *other = row->code == 0 ? end.err : end.out;
    if (!strstr(said, row->says)) {
        fail_msg("it said: %s", said);
    }
    assert_string_equal(other, "");
    assert_true(row->code == 0 || is_short(said) || strcmp(row->sentence, "nothing") == 0);
}

static void serves_what_the_options_allow(void **state)
{
    (void)state;
    static const char *const args[] = {"--tcp=[::1]:0",        "--udp=0.0.0.0:0",
                                       "--allow-remote",       "--protocol=2",
                                       "--max-peers=1",        "--run=lockstep",
                                       "--poll-interval=1000", "--compat=pulse-2018-client",
                                       "--target=long64",      NULL};
    struct program program;
    struct client client;
    program_start(&program, args);
    assert_memory_equal(program.listening[0], "tcp [::1]:", 10);
    client_open(&client, &program, 1);
    client_ping(&client, 1);
    client_close(&client);
    program_finish(&program);
}

static void checks(const char *yaml, struct program_end *out)
{
    const char *path = scratch_path("target.yaml");
    const char *const args[] = {"check", path, NULL};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(yaml, file) >= 0);
    assert_int_equal(fclose(file), 0);
    program_run(args, out);
    assert_int_equal(out->code, 0);
    assert_string_equal(out->err, "");
}

static void a_check_notes_what_cannot_run(void **state)
{
    (void)state;
    struct program_end end;
    checks("name: t\nbase: long64-la57\n", &end);
    assert_non_null(strstr(end.out, "target.yaml: good\n"));
    assert_null(strstr(end.out, "note"));
    checks("name: t\nbase: prot32\n", &end);
    assert_non_null(strstr(end.out, "target.yaml: good\n"));
    assert_non_null(strstr(end.out, ": note: CPU 0 is not in 64-bit mode and cannot run\n"));
    // A processor without 57-bit addresses does not take this CR4.
    checks("name: t\nbase: long64-la57\nprofile: skylake-x\n", &end);
    assert_non_null(strstr(end.out, "target.yaml: good\n"));
    assert_non_null(strstr(end.out, ": note: CPU 0: VM entry refused by rule guest_cr4: "));
    assert_non_null(strstr(end.out, ": note: CPU 1: VM entry refused by rule guest_cr4: "));
}

static bool is_taken(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool taken = bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
    close(fd);
    return taken;
}

static void the_default_is_udp_50100(void **state)
{
    (void)state;
    if (is_taken(50100)) {
        skip(); // somebody serves here
    }
    static const char *const args[] = {NULL};
    static const char *const again[] = {"serve", NULL};
    struct program program;
    struct program_end end;
    program_start(&program, args);
    assert_string_equal(program.listening[0], "udp 127.0.0.1:50100");
    program_run(again, &end);
    assert_int_equal(end.code, 1);
    assert_string_equal(end.err, "pulsim: udp 127.0.0.1:50100: Address already in use\n");
    program_finish(&program);
}

int main(void)
{
    struct CMUnitTest tests[NUM_CASES + 3];
    for (size_t i = 0; i < NUM_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].sentence, exits_and_says, NULL, NULL, &cases[i]};
    }
    tests[NUM_CASES] = (struct CMUnitTest)cmocka_unit_test(serves_what_the_options_allow);
    tests[NUM_CASES + 2] = (struct CMUnitTest)cmocka_unit_test(a_check_notes_what_cannot_run);
    tests[NUM_CASES + 1] = (struct CMUnitTest)cmocka_unit_test(the_default_is_udp_50100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
