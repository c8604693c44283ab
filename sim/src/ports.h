#ifndef SIM_PORTS_H
#define SIM_PORTS_H

// The I/O port space. Ports without a device read ones and swallow writes.
//
//   0x60-0x64    nothing: reads ones
//   0x70, 0x71   CMOS: index and 128 bytes
//   0x80         POST code: reads back what was written last
//   0x3F8-0x3FF  COM1: what is written goes into the log, line by line; always ready
//   0xCF8        PCI configuration address: reads back (32-bit)
//   0xCFC-0xCFF  PCI configuration data: no device answers, reads ones

#include <stddef.h>
#include <stdint.h>

struct machine;

enum { PORTS_LINE = 120 };

struct ports {
    uint8_t cmos_index;
    uint8_t cmos[128];
    uint8_t post_code;
    uint32_t pci_address;
    uint8_t uart[8];
    char line[PORTS_LINE];
    size_t line_len;
};

void ports_reset(struct ports *ports);

// One access of size 1, 2 or 4 at port, by a debugger or by IN and OUT.
uint32_t ports_read(struct machine *machine, uint16_t port, unsigned size);
void ports_write(struct machine *machine, uint16_t port, unsigned size, uint32_t value);

#endif
