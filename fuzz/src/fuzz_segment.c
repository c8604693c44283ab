// Segments: any mode, level, registers and tables, any selector and offset.
//
//  0      1       2      3          5        13     14         15       16         24
// | mode | flags | hole | selector | offset | size | register | vector | IDT base | limit |
//
//  26   28         36      38         98     108  118       126
// | SS | GDT base | limit | ES ... GS | LDTR | TR | GS base | words of memory ...
//
// mode: that of enum cpu_mode, modulo 8. flags: the CPL in bits 1:0, bit 2 EXT, bit 3 57-bit
// linear addresses, bit 4 a software interrupt, bit 5 the frame of a return has a stack, bits 7:6
// the kind of access. hole: which words cannot be read. A register is a selector and a descriptor,
// 0 for an unusable one; the base of GS is added to, in units of 64 KiB. The words are those of
// sparse_memory.h. SS is that of a return's frame, whose CS and RIP are the selector and offset.

#include "harness.h"
#include "segment_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct byte_reader input = {.at = bytes, .end = bytes + len, .ok = true};
    struct segment_world world;
    segment_world_init(&world, &input);
    check_translation(&world);
    check_descriptors(&world);
    check_data_load(&world);
    check_stack_load(&world);
    check_system_loads(&world);
    check_queries(&world);
    check_access(&world);
    check_transfers(&world);
    check_interrupt(&world);
    check_return(&world);
    check_fast_calls(&world);
    return 0;
}
