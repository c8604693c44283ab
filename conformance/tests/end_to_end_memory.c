// Calls for memory, ports and translations against the simulator.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "end_to_end.h"

enum { LARGE = 300000 };

// A write that begins 16 bytes before the hole moves 16 bytes; one in the hole none.
static void check_partial_writes(const struct session *session)
{
    uint8_t bytes[64];
    uint8_t back[64] = {0};
    uint64_t moved = 0;
    memset(bytes, 0xA5, sizeof(bytes));
    ASSERT_STATUS(PsWriteVirtualMemory(session->engine, LONG64_CR3, 0x10, LONG64_HOLE - 16, bytes,
                                       sizeof(bytes), &moved),
                  PARTIAL_WRITE);
    assert_int_equal(moved, 16);
    ASSERT_STATUS(PsReadVirtualMemory(session->engine, LONG64_CR3, 0x10, LONG64_HOLE - 16, back,
                                      sizeof(back), &moved),
                  PARTIAL_READ);
    assert_int_equal(moved, 16);
    assert_memory_equal(back, bytes, 16);
    ASSERT_STATUS(PsWriteLinearMemory(session->engine, LONG64_CR3, LONG64_HOLE, bytes, 1, &moved),
                  INVALID_TRANSLATION);
    assert_int_equal(moved, 0);
    ASSERT_STATUS(
        PsReadLinearMemory(session->engine, LONG64_CR3, LONG64_NON_CANONICAL - 8, back, 16, &moved),
        PARTIAL_READ);
    assert_int_equal(moved, 8);
}

static void check_large_transfers(const struct session *session)
{
    static uint8_t bytes[LARGE];
    static uint8_t back[LARGE];
    uint64_t moved = 0;
    for (size_t i = 0; i < LARGE; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 9));
    }
    ASSERT_SUCCESS(PsWritePhysicalMemory(session->engine, LONG64_FREE, bytes, LARGE, &moved));
    assert_int_equal(moved, LARGE);
    ASSERT_SUCCESS(PsReadPhysicalMemory(session->engine, LONG64_FREE, back, LARGE, &moved));
    assert_memory_equal(back, bytes, LARGE);
    memset(back, 0, LARGE);
    ASSERT_SUCCESS(
        PsReadLinearMemory(session->engine, LONG64_CR3, LONG64_2M_PAGE, back, LARGE, &moved));
    assert_memory_equal(back, bytes, LARGE);
    // Around the end of the page, in the middle of which a chunk ends.
    uint64_t start = LONG64_2M_PAGE + LONG64_FREE_SIZE - LARGE + 100;
    ASSERT_STATUS(PsWriteLinearMemory(session->engine, LONG64_CR3, start, bytes, LARGE, &moved),
                  PARTIAL_WRITE);
    assert_int_equal(moved, LARGE - 100);
}

static void check_ports(const struct session *session)
{
    uint8_t bytes[4] = {0};
    uint64_t moved = 0;
    ASSERT_SUCCESS(PsWriteIo(session->engine, 0x80, 1, bytes, 4, &moved));
    assert_int_equal(moved, 4);
    ASSERT_SUCCESS(PsReadIo(session->engine, 0x80, 2, bytes, 4, &moved));
    assert_int_equal(moved, 4);
    ASSERT_STATUS(PsReadIo(session->engine, 0x80, 3, bytes, 3, &moved), INVALID_ACCESS_SIZE);
    ASSERT_STATUS(PsReadIo(session->engine, 0x80, 4, bytes, 3, &moved), NOT_ALIGNED);
}

static void check_searches(const struct session *session)
{
    char pattern[] = "PULSIM LONG64";
    uint32_t size = sizeof(pattern) - 1;
    uint64_t found = 0;
    ASSERT_SUCCESS(PsSearchPhysicalMemory(session->engine, LONG64_IMAGE, LONG64_IMAGE + 0x10000,
                                          pattern, size, 1, 0, &found));
    assert_int_equal(LONG64_KERNEL + found, LONG64_CONSTANTS);
    ASSERT_SUCCESS(PsSearchLinearMemory(session->engine, LONG64_CR3, LONG64_VECTORS,
                                        LONG64_CONSTANTS + 0x1000, pattern, size, 0x1000, 0,
                                        &found));
    assert_int_equal(found, LONG64_CONSTANTS);
    ASSERT_SUCCESS(PsSearchVirtualMemory(session->engine, LONG64_CR3, 0x10,
                                         LONG64_CONSTANTS + 0x1000, LONG64_VECTORS, pattern, size,
                                         0x1000, 0, &found));
    assert_int_equal(found, LONG64_CONSTANTS);
    ASSERT_STATUS(PsSearchPhysicalMemory(session->engine, LONG64_FREE, LONG64_FREE + 0x1000,
                                         pattern, size, 1, 0, &found),
                  NOT_FOUND);
}

static void check_translations(const struct session *session)
{
    PS_PAGE_WALK_INFO info;
    uint64_t physical = 0;
    ASSERT_SUCCESS(PsWalkPageLinear(session->engine, LONG64_CR3, LONG64_BEFORE_HOLE, &info));
    assert_int_equal(info.NumEntries, 4);
    assert_int_equal(info.MaxEntries, 4);
    assert_int_equal(info.PageWalkMode, pwmLvl4);
    assert_int_equal(info.ValidTranslation, 1);
    ASSERT_SUCCESS(PsWalkPageVirtual(session->engine, LONG64_CR3, 0x10, LONG64_HOLE, &info));
    assert_int_equal(info.ValidTranslation, 0);
    assert_int_equal(info.LastValidEntry, 2);
    ASSERT_SUCCESS(
        PsLinearToPhysical(session->engine, LONG64_CR3, LONG64_BEFORE_HOLE + 5, &physical));
    assert_int_equal(physical, LONG64_BEFORE_PHYS + 5);
    ASSERT_SUCCESS(
        PsVirtualToPhysical(session->engine, LONG64_CR3, 0x10, LONG64_AFTER_HOLE, &physical));
    assert_int_equal(physical, LONG64_AFTER_PHYS);
    ASSERT_STATUS(PsLinearToPhysical(session->engine, LONG64_CR3, LONG64_HOLE, &physical),
                  INVALID_TRANSLATION);
}

void check_memory(const struct session *session)
{
    check_partial_writes(session);
    check_large_transfers(session);
    check_ports(session);
    check_searches(session);
    check_translations(session);
}
