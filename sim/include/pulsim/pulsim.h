#ifndef PULSIM_PULSIM_H
#define PULSIM_PULSIM_H

// libpulsim: a debuggee in your own process.
//
// A pulsim is one modelled machine. A peer is one client of it: it is given request packets and
// answers with reply packets, without a socket. The pulsim_peek, pulsim_poke and register calls are
// a back door: they see and change the machine's true state and are never noticed by a client.
//
// One thread at a time may use a pulsim and its peers. Different pulsims are independent.
// Calls that return bool return false when the argument names nothing that exists.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PULSIM_API __attribute__((visibility("default")))
#else
#define PULSIM_API
#endif

#define PULSIM_VERSION "0.1.0"

struct pulsim;
struct pulsim_peer;

struct pulsim_options {
    const char *target;      // built-in target or target file (.yaml); NULL: "long64"
    int protocol;            // 1, 2, or 0 for any: byte 0 of a packet decides
    bool compat_2018_client; // bend version 1 replies to what the published client needs
    bool free_running;       // false: lockstep, 10,000 instructions per packet received
    void (*log)(void *user, const char *line); // log text; NULL: dropped
    void *log_user;
};

// Builds a machine. options may be NULL: all defaults. NULL when it cannot be built; then, when
// error is not NULL, it receives a message (at most error_size bytes, always terminated).
PULSIM_API struct pulsim *pulsim_new(const struct pulsim_options *options, char *error,
                                     size_t error_size);

// Frees a pulsim and its peers. NULL is allowed.
PULSIM_API void pulsim_free(struct pulsim *pulsim);

// Back to the state after pulsim_new; peers keep their history. Costs no more than what changed.
PULSIM_API void pulsim_reset(struct pulsim *pulsim);

// Adds a client. NULL when memory is out.
PULSIM_API struct pulsim_peer *pulsim_peer_new(struct pulsim *pulsim);
PULSIM_API void pulsim_peer_free(struct pulsim_peer *peer);

// Feeds one request packet. Its reply, when there is one now, is in *out_reply and *out_len until
// the peer's next call; *out_len is 0 when there is none (yet).
PULSIM_API void pulsim_request(struct pulsim_peer *peer, const void *packet, size_t len,
                               const void **out_reply, size_t *out_len);

// Lets what takes time go on: a free-running machine, a search under way. Fetches the reply of a
// request that was not answered at once, as pulsim_request does. True while there is more to do.
PULSIM_API bool pulsim_continue(struct pulsim_peer *peer, const void **out_reply, size_t *out_len);

// Guest-physical memory, whatever its kind and without side effects. Returns how many bytes were
// moved: up to the first that is no RAM and no ROM.
PULSIM_API size_t pulsim_peek(struct pulsim *pulsim, uint64_t guest_phys, void *buffer, size_t len);
PULSIM_API size_t pulsim_poke(struct pulsim *pulsim, uint64_t guest_phys, const void *buffer,
                              size_t len);

// The region that guest_phys lies in or, in empty space, the next above it.
struct pulsim_region {
    uint64_t base;
    uint64_t size;
    const char *kind; // "ram", "rom", "device", "protected"
};
PULSIM_API bool pulsim_region_at(struct pulsim *pulsim, uint64_t guest_phys,
                                 struct pulsim_region *out);

PULSIM_API unsigned pulsim_num_cpus(const struct pulsim *pulsim);

// A VMCS field of a CPU by its encoding (0x482A is the guest's IA32_SYSENTER_CS).
PULSIM_API bool pulsim_vmcs_read(const struct pulsim *pulsim, unsigned cpu, uint32_t encoding,
                                 uint64_t *out);
PULSIM_API bool pulsim_vmcs_write(struct pulsim *pulsim, unsigned cpu, uint32_t encoding,
                                  uint64_t value);

// A register by its name in the context ("rax", "cs_base", "cr3").
PULSIM_API bool pulsim_register_read(struct pulsim *pulsim, unsigned cpu, const char *name,
                                     uint64_t *out);
PULSIM_API bool pulsim_register_write(struct pulsim *pulsim, unsigned cpu, const char *name,
                                      uint64_t value);

// An MSR as the guest's RDMSR sees it; false when that would raise #GP.
PULSIM_API bool pulsim_guest_msr_read(const struct pulsim *pulsim, unsigned cpu, uint32_t index,
                                      uint64_t *out);

// True when every byte of memory and every register of both machines are equal.
PULSIM_API bool pulsim_equal(const struct pulsim *a, const struct pulsim *b);

#ifdef __cplusplus
}
#endif

#endif
