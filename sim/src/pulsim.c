// libpulsim: machine, debuggee and peers behind the public header.

#include "pulsim/pulsim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "context.h"
#include "cpu_msr.h"
#include "protocol/debuggee.h"
#include "target_file.h"

// A peer has at most two replies at a time: that of the packet just fed, and before it that of a
// step or search which the packet has ended.
enum { REPLIES = 2 };

// The first of two is a short one and is kept here, because the second may take its place.
struct reply {
    const uint8_t *packet;
    size_t len;
    uint8_t copy[16];
};

struct pulsim_peer {
    struct debuggee_peer base; // first, so that the debuggee's pointer is ours
    struct pulsim *pulsim;
    struct pulsim_peer *next;
    size_t num_replies; // of which next_reply comes next
    size_t next_reply;
    struct reply replies[REPLIES];
    uint8_t memory[DEBUGGEE_MEMORY_SIZE];
};

struct pulsim {
    struct machine *machine;
    struct debuggee debuggee;
    struct target *loaded; // from a target file; NULL: built in
    bool free_running;
    struct pulsim_peer *peers;
};

static void collect(void *user, struct debuggee_peer *base, const uint8_t *packet, size_t len)
{
    (void)user;
    struct pulsim_peer *peer = (struct pulsim_peer *)base;
    if (peer->num_replies == REPLIES) {
        return;
    }
    struct reply *reply = &peer->replies[peer->num_replies++];
    *reply = (struct reply){.packet = packet, .len = len};
    if (len <= sizeof(reply->copy)) {
        memcpy(reply->copy, packet, len);
        reply->packet = NULL;
    }
}

static void take_reply(struct pulsim_peer *peer, const void **out_reply, size_t *out_len)
{
    *out_reply = NULL;
    *out_len = 0;
    if (peer->num_replies == 0) {
        return;
    }
    struct reply *reply = &peer->replies[peer->next_reply++];
    *out_reply = reply->packet ? reply->packet : reply->copy;
    *out_len = reply->len;
    if (peer->next_reply == peer->num_replies) {
        peer->num_replies = peer->next_reply = 0;
    }
}

static const struct target *find_target(struct pulsim *pulsim, const char *name, char *error,
                                        size_t error_size)
{
    const struct target *target = target_find(name ? name : "long64");
    if (target) {
        return target;
    }
    pulsim->loaded = target_file_load(name, error, error_size);
    return pulsim->loaded;
}

static bool build(struct pulsim *pulsim, const struct pulsim_options *options, char *error,
                  size_t error_size)
{
    const struct target *target = find_target(pulsim, options->target, error, error_size);
    if (!target) {
        return false;
    }
    const char *reason = NULL;
    pulsim->machine = machine_new(target, &reason);
    if (!pulsim->machine) {
        (void)snprintf(error, error_size, "%s: %s", target->name, reason);
        return false;
    }
    pulsim->machine->log = options->log;
    pulsim->machine->log_user = options->log_user;
    pulsim->free_running = options->free_running;
    pulsim->debuggee = (struct debuggee){
        .ops = &machine_ops,
        .target = pulsim->machine,
        .versions = (enum debuggee_versions)options->protocol,
        .compat_2018_client = options->compat_2018_client,
        .send = collect,
    };
    return true;
}

struct pulsim *pulsim_new(const struct pulsim_options *options, char *error, size_t error_size)
{
    static const struct pulsim_options defaults;
    char ignored[1];
    if (!error) {
        error = ignored;
        error_size = sizeof(ignored);
    }
    options = options ? options : &defaults;
    if (options->protocol < 0 || options->protocol > PROTOCOL_V2) {
        (void)snprintf(error, error_size, "protocol %d: not 1, 2 or 0", options->protocol);
        return NULL;
    }
    struct pulsim *pulsim = calloc(1, sizeof(*pulsim));
    if (!pulsim) {
        (void)snprintf(error, error_size, "out of memory");
        return NULL;
    }
    if (!build(pulsim, options, error, error_size)) {
        pulsim_free(pulsim);
        return NULL;
    }
    return pulsim;
}

void pulsim_free(struct pulsim *pulsim)
{
    if (!pulsim) {
        return;
    }
    while (pulsim->peers) {
        pulsim_peer_free(pulsim->peers);
    }
    machine_free(pulsim->machine);
    target_file_free(pulsim->loaded);
    free(pulsim);
}

void pulsim_reset(struct pulsim *pulsim)
{
    machine_reset(pulsim->machine);
}

struct pulsim_peer *pulsim_peer_new(struct pulsim *pulsim)
{
    struct pulsim_peer *peer = calloc(1, sizeof(*peer));
    if (!peer) {
        return NULL;
    }
    peer->base.memory = peer->memory;
    peer->pulsim = pulsim;
    peer->next = pulsim->peers;
    pulsim->peers = peer;
    return peer;
}

void pulsim_peer_free(struct pulsim_peer *peer)
{
    if (!peer) {
        return;
    }
    struct pulsim_peer **link = &peer->pulsim->peers;
    while (*link != peer) {
        link = &(*link)->next;
    }
    *link = peer->next;
    debuggee_forget(&peer->pulsim->debuggee, &peer->base);
    free(peer);
}

void pulsim_request(struct pulsim_peer *peer, const void *packet, size_t len,
                    const void **out_reply, size_t *out_len)
{
    struct pulsim *pulsim = peer->pulsim;
    if (pulsim->machine->running) {
        machine_run(pulsim->machine, MACHINE_LOCKSTEP);
    }
    peer->num_replies = peer->next_reply = 0;
    debuggee_receive(&pulsim->debuggee, &peer->base, packet, len);
    take_reply(peer, out_reply, out_len);
}

bool pulsim_continue(struct pulsim_peer *peer, const void **out_reply, size_t *out_len)
{
    struct pulsim *pulsim = peer->pulsim;
    if (pulsim->free_running && peer->num_replies == 0) {
        machine_run(pulsim->machine, MACHINE_LOCKSTEP);
    }
    bool is_searching = peer->num_replies == 0 && debuggee_continue(&pulsim->debuggee);
    take_reply(peer, out_reply, out_len);
    return is_searching || peer->num_replies != 0 ||
           (pulsim->free_running && pulsim->machine->running);
}

size_t pulsim_peek(struct pulsim *pulsim, uint64_t guest_phys, void *buffer, size_t len)
{
    uint8_t *bytes = buffer;
    size_t moved = 0;
    while (moved < len) {
        const struct region *region = memory_region(&pulsim->machine->memory, guest_phys + moved);
        if (!region || !region->host) {
            break;
        }
        uint64_t offset = guest_phys + moved - region->base;
        size_t run = region->size - offset < len - moved ? region->size - offset : len - moved;
        memcpy(bytes + moved, region->host + offset, run);
        moved += run;
    }
    return moved;
}

size_t pulsim_poke(struct pulsim *pulsim, uint64_t guest_phys, const void *buffer, size_t len)
{
    const uint8_t *bytes = buffer;
    size_t moved = 0;
    while (moved < len) {
        uint64_t at = guest_phys + moved;
        size_t in_page = MEMORY_PAGE_SIZE - (at & (MEMORY_PAGE_SIZE - 1));
        size_t run = in_page < len - moved ? in_page : len - moved;
        machine_drop_code(pulsim->machine, at, run);
        if (!memory_load(&pulsim->machine->memory, at, bytes + moved, run)) {
            break;
        }
        moved += run;
    }
    return moved;
}

static const char *kind_name(enum region_kind kind)
{
    static const char *const names[] = {
        [REGION_EMPTY] = "empty",
        [REGION_RAM] = "ram",
        [REGION_ROM] = "rom",
        [REGION_DEVICE] = "device",
        [REGION_PROTECTED] = "protected",
    };
    return names[kind];
}

bool pulsim_region_at(struct pulsim *pulsim, uint64_t guest_phys, struct pulsim_region *out)
{
    const struct memory *memory = &pulsim->machine->memory;
    for (size_t i = 0; i < memory->num_regions; i++) {
        const struct region *region = &memory->regions[i];
        if (region->base + (region->size - 1) >= guest_phys) {
            *out = (struct pulsim_region){region->base, region->size, kind_name(region->kind)};
            return true;
        }
    }
    return false;
}

unsigned pulsim_num_cpus(const struct pulsim *pulsim)
{
    return pulsim->machine->num_cpus;
}

bool pulsim_vmcs_read(const struct pulsim *pulsim, unsigned cpu, uint32_t encoding, uint64_t *out)
{
    return cpu < pulsim->machine->num_cpus &&
           vmcs_read(&pulsim->machine->cpus[cpu].vmx.vmcs, encoding, out);
}

bool pulsim_vmcs_write(struct pulsim *pulsim, unsigned cpu, uint32_t encoding, uint64_t value)
{
    if (cpu >= pulsim->machine->num_cpus ||
        !vmcs_write(&pulsim->machine->cpus[cpu].vmx.vmcs, encoding, value)) {
        return false;
    }
    pulsim->machine->cpus[cpu].changed = true;
    return true;
}

static bool find_register(const char *name, enum context_register *out)
{
    for (int i = 0; i < NUM_CONTEXT_REGISTERS; i++) {
        if (strcmp(context_registers[i].name, name) == 0) {
            *out = (enum context_register)i;
            return true;
        }
    }
    return false;
}

bool pulsim_register_read(struct pulsim *pulsim, unsigned cpu, const char *name, uint64_t *out)
{
    enum context_register reg;
    if (cpu >= pulsim->machine->num_cpus || !find_register(name, &reg)) {
        return false;
    }
    *out = cpu_register_read(&pulsim->machine->cpus[cpu], reg);
    return true;
}

bool pulsim_register_write(struct pulsim *pulsim, unsigned cpu, const char *name, uint64_t value)
{
    enum context_register reg;
    if (cpu >= pulsim->machine->num_cpus || !find_register(name, &reg)) {
        return false;
    }
    cpu_register_write(&pulsim->machine->cpus[cpu], reg, value);
    pulsim->machine->cpus[cpu].changed = true;
    return true;
}

bool pulsim_guest_msr_read(const struct pulsim *pulsim, unsigned cpu, uint32_t index, uint64_t *out)
{
    return cpu < pulsim->machine->num_cpus &&
           cpu_msr_read(&pulsim->machine->cpus[cpu], MSR_GUEST, index, out) == MSR_OK;
}

static bool memory_equal(const struct memory *a, const struct memory *b)
{
    if (a->num_regions != b->num_regions) {
        return false;
    }
    for (size_t i = 0; i < a->num_regions; i++) {
        const struct region *x = &a->regions[i];
        const struct region *y = &b->regions[i];
        if (x->base != y->base || x->size != y->size || x->kind != y->kind ||
            (x->host && memcmp(x->host, y->host, x->size) != 0)) {
            return false;
        }
    }
    return true;
}

static bool cpu_equal(const struct cpu *a, const struct cpu *b)
{
    return vmx_cpu_equal(&a->vmx, &b->vmx) && memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)) == 0 &&
           a->shut_down == b->shut_down;
}

bool pulsim_equal(const struct pulsim *a, const struct pulsim *b)
{
    const struct machine *x = a->machine;
    const struct machine *y = b->machine;
    if (x->num_cpus != y->num_cpus || x->running != y->running ||
        !memory_equal(&x->memory, &y->memory)) {
        return false;
    }
    for (unsigned i = 0; i < x->num_cpus; i++) {
        if (!cpu_equal(&x->cpus[i], &y->cpus[i])) {
            return false;
        }
    }
    return true;
}
