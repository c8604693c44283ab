#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exits_guest.h"

struct rig guest_rig;

int guest_open(void **state)
{
    (void)state;
    rig_open(&guest_rig, PROTOCOL_V2, false);
    return 0;
}

int guest_close(void **state)
{
    (void)state;
    rig_close(&guest_rig);
    return 0;
}

void guest_place(const void *code, size_t len)
{
    assert_int_equal(pulsim_poke(guest_rig.pulsim, GUEST_CODE_PHYS, code, len), len);
}

uint64_t guest_field(uint32_t encoding)
{
    uint64_t value = 0;
    assert_true(pulsim_vmcs_read(guest_rig.pulsim, 0, encoding, &value));
    return value;
}

static void change(uint32_t encoding, uint64_t set)
{
    bool is_address = encoding == MSR_BITMAPS || encoding == IO_BITMAP_A || encoding == IO_BITMAP_B;
    uint64_t old = is_address ? 0 : guest_field(encoding);
    // The bit that activates the secondary controls is set in every VMCS: here it goes.
    bool clears = encoding == PROCESSOR && set == 0x80000000;
    assert_true(pulsim_vmcs_write(guest_rig.pulsim, 0, encoding, clears ? old & ~set : old | set));
}

void guest_change(const struct change changes[NUM_CHANGES])
{
    for (size_t i = 0; i < NUM_CHANGES && changes[i].encoding != 0; i++) {
        change(changes[i].encoding, changes[i].set);
    }
}

uint64_t guest_register(const char *name)
{
    uint64_t value = 0;
    assert_true(pulsim_register_read(guest_rig.pulsim, 0, name, &value));
    return value;
}

void guest_set_register(const char *name, uint64_t value)
{
    assert_true(pulsim_register_write(guest_rig.pulsim, 0, name, value));
}

void guest_step(void)
{
    struct packet request = rig_plain(PACKET_STEP);
    rig_expect_value(&guest_rig, &request, 3);
}
