// Other debug stubs, where they are installed: the same reads over GDB's remote serial protocol.

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "child.h"
#include "rsp.h"
#include "wire.h"

enum {
    BYTES_PER_MB = 1000000,
    SMALL = 8,
    LARGEST = 61410, // no more than pulsim reads at once
    REQUEST_SIZE = 64,
    LINE_SIZE = 256,
    TEXT_SIZE = 64,
    PAGE = 4096,
    RIP_AT = 16 * 16, // hexadecimal digits before it in the answer to "g"
    DIGITS = 16,
};

static const int64_t patience_ns = INT64_C(5000000000);

struct stub {
    struct rsp *rsp;
    char frame[REQUEST_SIZE];
};

static void repeat_read(void *context, uint64_t times)
{
    struct stub *stub = context;
    for (; times != 0; times--) {
        if (!rsp_call_framed(stub->rsp, stub->frame)) {
            errx(EXIT_FAILURE, "the stub does not answer %s any more", stub->frame);
        }
    }
}

// True when the stub reads so many bytes there.
static bool prepare_read(struct stub *stub, uint64_t address, size_t len)
{
    char request[REQUEST_SIZE / 2];
    (void)snprintf(request, sizeof(request), "m%" PRIx64 ",%zx", address, len);
    rsp_frame(stub->rsp, request, stub->frame, sizeof(stub->frame));
    return rsp_call_framed(stub->rsp, stub->frame) && rsp_expand(stub->rsp) &&
           stub->rsp->len == 2 * len;
}

static void measure_read(struct bench *bench, const char *section, struct stub *stub, size_t len)
{
    char text[TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "memory read, %zu bytes", len);
    struct figure figure = {
        .section = section,
        .name = len == SMALL ? "read-8" : "read-max",
        .text = text,
        .unit = len == SMALL ? "requests/s" : "MB/s",
    };
    const struct contender contender = {repeat_read, stub};
    measure_rates(&contender, 1, bench->seconds, &figure.measured);
    if (len != SMALL) {
        samples_scale(&figure.measured, (double)len / BYTES_PER_MB);
    }
    report_add(&bench->report, &figure);
}

static void measure_stub(struct bench *bench, const char *section, struct stub *stub,
                         uint64_t address)
{
    if (!prepare_read(stub, address, SMALL)) {
        report_missing(&bench->report, section, "it does not read memory");
        return;
    }
    measure_read(bench, section, stub, SMALL);
    size_t len = stub->rsp->packet_size / 2 < LARGEST ? stub->rsp->packet_size / 2 : LARGEST;
    while (len > SMALL && !prepare_read(stub, address, len)) {
        len -= SMALL; // room for the frame, and whatever else the stub counts
    }
    if (len > SMALL) {
        measure_read(bench, section, stub, len);
    }
}

// --- gdbserver ------------------------------------------------------------------------------

// "Listening on port 40321"
static uint16_t read_port(int fd)
{
    static const char listening[] = "Listening on port ";
    int64_t deadline = clock_now() + patience_ns;
    char line[LINE_SIZE];
    while (child_read_line(fd, deadline, line, sizeof(line))) {
        if (strncmp(line, listening, strlen(listening)) == 0) {
            return (uint16_t)strtoul(line + strlen(listening), NULL, 10);
        }
    }
    return 0;
}

// Where the debugged program is about to begin, in the dynamic linker: the start of that page.
static bool find_code(struct rsp *rsp, uint64_t *out)
{
    if (!rsp_call(rsp, "g") || !rsp_expand(rsp) || rsp->len < RIP_AT + DIGITS) {
        return false;
    }
    uint64_t rip = 0;
    for (unsigned byte = 0; byte < DIGITS / 2; byte++) {
        char digits[3] = {rsp->reply[RIP_AT + 2 * byte], rsp->reply[RIP_AT + 2 * byte + 1]};
        rip |= (uint64_t)strtoul(digits, NULL, 16) << (8 * byte);
    }
    *out = rip & ~(uint64_t)(PAGE - 1);
    return true;
}

static void measure_gdbserver(struct bench *bench, const char *section, int fd)
{
    uint16_t port = read_port(fd);
    struct stub stub = {.rsp = port ? rsp_new(port) : NULL};
    uint64_t address = 0;
    if (!stub.rsp) {
        report_missing(&bench->report, section, "it does not start here");
        return;
    }
    if (find_code(stub.rsp, &address)) {
        measure_stub(bench, section, &stub, address);
    } else {
        report_missing(&bench->report, section, "it does not read registers");
    }
    rsp_free(stub.rsp);
}

void bench_gdbserver(struct bench *bench, const char *section)
{
    const char *arguments[] = {"gdbserver", "--once", "127.0.0.1:0", "/bin/true", NULL};
    if (!child_is_installed(arguments[0])) {
        report_missing(&bench->report, section, "not installed");
        return;
    }
    int fd = -1;
    pid_t pid = child_start(arguments, &fd);
    measure_gdbserver(bench, section, fd);
    close(fd);
    child_stop(pid);
}

// --- QEMU -----------------------------------------------------------------------------------

// A port that was free a moment ago.
static uint16_t free_port(void)
{
    struct wire_address address = wire_port(0);
    int fd = wire_listen(TRANSPORT_TCP, &address);
    close(fd);
    return ntohs(address.v4.sin_port);
}

void bench_qemu(struct bench *bench, const char *section)
{
    enum { MEMORY = 0x100000 };
    uint16_t port = free_port();
    char gdb[REQUEST_SIZE];
    (void)snprintf(gdb, sizeof(gdb), "tcp:127.0.0.1:%u", port);
    const char *arguments[] = {
        "qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-machine",
        "pc,accel=tcg",       "-m", "64",          "-gdb",     gdb,    NULL};
    if (!child_is_installed(arguments[0])) {
        report_missing(&bench->report, section, "not installed");
        return;
    }
    int fd = -1;
    pid_t pid = child_start(arguments, &fd);
    struct stub stub = {.rsp = rsp_new(port)};
    if (stub.rsp) {
        measure_stub(bench, section, &stub, MEMORY);
        rsp_free(stub.rsp);
    } else {
        report_missing(&bench->report, section, "it does not start here");
    }
    close(fd);
    child_stop(pid);
}
