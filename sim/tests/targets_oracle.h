#ifndef SIM_TESTS_TARGETS_ORACLE_H
#define SIM_TESTS_TARGETS_ORACLE_H

// What the rows of a target say about an address, found in the rows and nowhere else: no table is
// walked and no descriptor decoded. And two machines of that target: one is asked through the
// protocol, the other is changed behind its back as the rows say.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modes/rows.h"
#include "rig.h"

enum { ORACLE_LENGTH = 64 }; // of a transfer

struct oracle {
    const struct mode_target *target;
    struct rig rig;
    struct rig twin;
    uint64_t root;
};

// Both machines at their start. Fails the test when they cannot be had.
void oracle_open(struct oracle *oracle, const struct mode_target *target);
void oracle_close(struct oracle *oracle);

// Both machines back to their start, version 2 spoken.
void oracle_reset(struct oracle *oracle);

// The oracle of the target whose group runs. Its target stands before the group; cmocka's fixtures
// open and close it for a group, and reset it for a test.
extern struct oracle group_oracle;
int group_oracle_open(void **state);
int group_oracle_close(void **state);
int group_oracle_reset(void **state);

// Runs a group for every target that is made of rows, with group_oracle.target set; returns how
// many tests failed.
int oracle_run_groups(int (*run_group)(const struct mode_target *target));

// The row that linear lies in.
const struct map_row *oracle_row(const struct mode_target *target, uint64_t linear);

// Where linear leads; false: nowhere.
bool oracle_translate(const struct mode_target *target, uint64_t linear, uint64_t *out_phys);

// The mode that the target of this name has to be in.
enum cpu_mode oracle_cpu_mode(const struct mode_target *target);

// What a segment register holds: its row, or the descriptor's; and its selector alone.
bool oracle_segment(const struct mode_target *target, const char *name, struct segment *out);
uint16_t oracle_selector(const struct mode_target *target, const char *name);

// How many of len bytes from linear on a transfer reaches. It does not go beyond `last`.
size_t oracle_reach(const struct mode_target *target, uint64_t linear, uint64_t last, size_t len);

// What a read of these bytes gives, or a write of ORACLE_LENGTH letters changes in the twin.
void oracle_read(struct oracle *oracle, uint64_t linear, void *out, size_t len);
void oracle_write(struct oracle *oracle, uint64_t linear, size_t len);
extern const uint8_t oracle_ink[ORACLE_LENGTH];

// Asks for a transfer and expects that the first `want` bytes are moved, read or written as the
// rows say; when that is 0, INVALID_TRANSLATION.
void oracle_expect_read(struct oracle *oracle, struct packet *request, uint64_t linear,
                        size_t want);
void oracle_expect_write(struct oracle *oracle, struct packet *request, uint64_t linear,
                         size_t want);

// INVALID_TRANSLATION, INVALID_CPU_MODE and NOT_SUPPORTED in the rig's version.
uint64_t oracle_no_translation(const struct oracle *oracle);
uint64_t oracle_no_mode(const struct oracle *oracle);
uint64_t oracle_not_supported(const struct oracle *oracle);

// Expects both machines to be equal in every byte of memory and every register.
void oracle_expect_equal(struct oracle *oracle);

// One named test for each row: room for the names.
enum { ORACLE_NAME_SIZE = 160 };

#endif
