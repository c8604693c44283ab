// The same requests in this process, without a socket; and how fast a guest runs.

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "long64.h"
#include "operations.h"
#include "protocol/bytes.h"
#include "pulsim/pulsim.h"

enum {
    ID_AT = 4, // in a packet
    ID_SIZE = 4,
    BYTES_PER_MB = 1000000,
    COPY_SIZE = 16384,
    FILLER = 0x5A,
    TSC = 0x10, // an MSR
};

struct library {
    struct pulsim *pulsim;
    struct pulsim_peer *peer;
    uint32_t last_id;
    struct prepared prepared;
    uint8_t source[COPY_SIZE];
    uint8_t copied[COPY_SIZE];
};

static struct library *library_new(bool free_running)
{
    struct pulsim_options options = {.protocol = PROTOCOL_V2, .free_running = free_running};
    char error[256] = "out of memory";
    struct library *library = calloc(1, sizeof(*library));
    if (library) {
        library->pulsim = pulsim_new(&options, error, sizeof(error));
    }
    if (library && library->pulsim) {
        library->peer = pulsim_peer_new(library->pulsim);
    }
    if (!library || !library->peer) {
        errx(EXIT_FAILURE, "libpulsim: %s", error);
    }
    return library;
}

static void library_free(struct library *library)
{
    pulsim_free(library->pulsim);
    free(library);
}

static void library_request(struct library *library)
{
    uint32_t id = ++library->last_id;
    store_le(library->prepared.request + ID_AT, ID_SIZE, id);
    const void *reply = NULL;
    size_t len = 0;
    pulsim_request(library->peer, library->prepared.request, library->prepared.request_len, &reply,
                   &len);
    if (!reply_is_right(&library->prepared, id, reply, len)) {
        errx(EXIT_FAILURE, "libpulsim: no reply, or not what the request asks for");
    }
}

static void repeat_request(void *context, uint64_t times)
{
    for (; times != 0; times--) {
        library_request(context);
    }
}

static void measure_operation(struct bench *bench, struct library *library, enum operation_id id,
                              const char *section)
{
    const struct operation *operation = &operations[id];
    struct figure figure = {
        .section = section,
        .name = operation->name,
        .text = operation->text,
        .unit = operation->payload ? "MB/s" : "requests/s",
        .goal = {operation->least_rate > 0 ? GOAL_VALUE : GOAL_NONE, false, operation->least_rate},
    };
    operation_prepare(id, &library->prepared);
    const struct contender contender = {repeat_request, library};
    measure_rates(&contender, 1, bench->seconds, &figure.measured);
    if (operation->payload) {
        samples_scale(&figure.measured, (double)operation->payload / BYTES_PER_MB);
    }
    report_add(&bench->report, &figure);
}

// --- a copy and the request around it --------------------------------------------------------

static void repeat_memcpy(void *context, uint64_t times)
{
    struct library *library = context;
    for (; times != 0; times--) {
        memcpy(library->copied, library->source, sizeof(library->source));
        __asm__ volatile("" : : "r"(library->copied) : "memory"); // the copy is wanted
    }
}

static void measure_copy(struct bench *bench, struct library *library, const char *section)
{
    struct figure figure = {
        .section = section,
        .name = "virtual-read-16k",
        .text = "virtual read, 16 KiB",
        .unit = "ns",
        .baseline = "memcpy",
    };
    const struct packet request = {
        .kind = PACKET_READ_VIRTUAL,
        .read_virtual = {.root = LONG64_CR3, .offset = LONG64_2M_PAGE, .length = COPY_SIZE},
    };
    packet_prepare(&request, PACKET_VIRTUAL_DATA, &library->prepared);
    library->prepared.reply_len += COPY_SIZE;
    memset(library->source, FILLER, COPY_SIZE); // untouched pages would all be the same one
    const struct contender contenders[] = {{repeat_request, library}, {repeat_memcpy, library}};
    struct samples samples[2];
    measure_rates(contenders, 2, bench->seconds, samples);
    figure.measured = samples[0];
    figure.base = samples[1];
    samples_to_nanoseconds(&figure.measured);
    samples_to_nanoseconds(&figure.base);
    report_add(&bench->report, &figure);
}

// --- the guest ------------------------------------------------------------------------------

// A loop with a load and a store, that every CPU of the target begins with instead of its kernel.
static const uint8_t guest_loop[] = {
    0x48, 0x01, 0xC3,             // add  rbx, rax
    0x48, 0x89, 0x5C, 0x24, 0xF8, // mov  [rsp - 8], rbx
    0x48, 0x8B, 0x4C, 0x24, 0xF8, // mov  rcx, [rsp - 8]
    0x48, 0x8D, 0x40, 0x01,       // lea  rax, [rax + 1]
    0x48, 0xFF, 0xCA,             // dec  rdx
    0xEB, 0xEA,                   // jmp  to the first
};

// Instructions executed so far, which is what the CPUs' time counts as long as none is halted.
static uint64_t executed(const struct pulsim *pulsim)
{
    uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < pulsim_num_cpus(pulsim); cpu++) {
        uint64_t tsc = 0;
        pulsim_guest_msr_read(pulsim, cpu, TSC, &tsc);
        sum += tsc;
    }
    return sum;
}

struct guest {
    struct library *library;
    uint64_t per_turn;
};

static void repeat_turn(void *context, uint64_t times)
{
    const struct guest *guest = context;
    for (; times != 0; times--) {
        const void *reply = NULL;
        size_t len = 0;
        if (!pulsim_continue(guest->library->peer, &reply, &len)) {
            errx(EXIT_FAILURE, "libpulsim: the guest has stopped");
        }
    }
}

static void measure_guest(struct bench *bench, const char *section)
{
    struct figure figure = {
        .section = section,
        .name = "guest",
        .text = "guest code with loads and stores",
        .unit = "M instr/s",
    };
    struct library *library = library_new(true);
    pulsim_poke(library->pulsim, LONG64_ENTRY - LONG64_KERNEL, guest_loop, sizeof(guest_loop));
    const struct packet go = {.kind = PACKET_GO};
    packet_prepare(&go, PACKET_SUCCESS, &library->prepared);
    library_request(library);
    struct guest guest = {.library = library};
    repeat_turn(&guest, 1);
    uint64_t before = executed(library->pulsim);
    repeat_turn(&guest, 1);
    guest.per_turn = executed(library->pulsim) - before;
    const struct contender contender = {repeat_turn, &guest};
    measure_rates(&contender, 1, bench->seconds, &figure.measured);
    samples_scale(&figure.measured, (double)guest.per_turn / BYTES_PER_MB);
    library_free(library);
    report_add(&bench->report, &figure);
}

void bench_library(struct bench *bench, const char *section)
{
    struct library *library = library_new(false);
    for (int id = 0; id < NUM_OPERATIONS; id++) {
        measure_operation(bench, library, (enum operation_id)id, section);
    }
    measure_copy(bench, library, section);
    library_free(library);
    measure_guest(bench, section);
}
