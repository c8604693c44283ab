#include "ports.h"

#include <stdbool.h>
#include <string.h>

#include "machine.h"

#define CMOS_INDEX  0x70
#define CMOS_DATA   0x71
#define POST_CODE   0x80
#define COM1        0x3F8
#define PCI_ADDRESS 0xCF8

// Registers of a 16550 UART. The divisor takes the places of registers that hold nothing here:
// nothing is ever received, and the FIFO's state cannot be seen.
enum {
    UART_DATA = 0,
    UART_DIVISOR_LOW = 0,
    UART_INTERRUPTS = 1,
    UART_DIVISOR_HIGH = 2,
    UART_FIFO = 2,
    UART_LINE_CONTROL = 3,
    UART_MODEM_CONTROL = 4,
    UART_LINE_STATUS = 5,
    UART_MODEM_STATUS = 6,
    UART_SCRATCH = 7,
};

enum {
    UART_DIVISOR_LATCH = 0x80,  // of line control: registers 0 and 1 are the divisor
    UART_NO_INTERRUPT = 0x01,   // of interrupt identification
    UART_TRANSMIT_READY = 0x60, // of line status: holding register and shifter empty
    UART_CONNECTED = 0xB0,      // of modem status: carrier, data set ready, clear to send
};

void ports_reset(struct ports *ports)
{
    memset(ports, 0, sizeof(*ports));
}

static void log_line(struct machine *machine)
{
    struct ports *ports = &machine->ports;
    ports->line[ports->line_len] = '\0';
    machine_log(machine, "COM1: %s", ports->line);
    ports->line_len = 0;
}

// A line ends with LF, or where there is no more room.
static void transmit(struct machine *machine, uint8_t byte)
{
    struct ports *ports = &machine->ports;
    if (byte == '\n') {
        log_line(machine);
        return;
    }
    if (byte == '\r') {
        return;
    }
    bool visible = (byte >= 0x20 && byte <= 0x7E) || byte == '\t';
    ports->line[ports->line_len++] = (char)(visible ? byte : '?');
    if (ports->line_len == PORTS_LINE - 1) {
        log_line(machine);
    }
}

static bool uart_shows_divisor(const struct ports *ports)
{
    return (ports->uart[UART_LINE_CONTROL] & UART_DIVISOR_LATCH) != 0;
}

static uint8_t uart_read(const struct ports *ports, unsigned reg)
{
    switch (reg) {
    case UART_DATA:
        return uart_shows_divisor(ports) ? ports->uart[UART_DIVISOR_LOW] : 0;
    case UART_INTERRUPTS:
        return ports->uart[uart_shows_divisor(ports) ? UART_DIVISOR_HIGH : UART_INTERRUPTS];
    case UART_FIFO:
        return UART_NO_INTERRUPT;
    case UART_LINE_STATUS:
        return UART_TRANSMIT_READY;
    case UART_MODEM_STATUS:
        return UART_CONNECTED;
    default:
        return ports->uart[reg];
    }
}

static void uart_write(struct machine *machine, unsigned reg, uint8_t byte)
{
    struct ports *ports = &machine->ports;
    switch (reg) {
    case UART_DATA:
        if (uart_shows_divisor(ports)) {
            ports->uart[UART_DIVISOR_LOW] = byte;
            return;
        }
        transmit(machine, byte);
        return;
    case UART_INTERRUPTS:
        ports->uart[uart_shows_divisor(ports) ? UART_DIVISOR_HIGH : UART_INTERRUPTS] = byte;
        return;
    case UART_LINE_CONTROL:
    case UART_MODEM_CONTROL:
    case UART_SCRATCH:
        ports->uart[reg] = byte;
        return;
    default: // FIFO control changes nothing here, and the two status registers are read-only
        return;
    }
}

static uint8_t read_byte(const struct ports *ports, uint32_t port)
{
    if (port >= COM1 && port < COM1 + 8) {
        return uart_read(ports, port - COM1);
    }
    switch (port) {
    case CMOS_INDEX:
        return ports->cmos_index;
    case CMOS_DATA:
        return ports->cmos[ports->cmos_index % sizeof(ports->cmos)];
    case POST_CODE:
        return ports->post_code;
    default:
        return 0xFF;
    }
}

static void write_byte(struct machine *machine, uint32_t port, uint8_t byte)
{
    struct ports *ports = &machine->ports;
    if (port >= COM1 && port < COM1 + 8) {
        uart_write(machine, port - COM1, byte);
        return;
    }
    switch (port) {
    case CMOS_INDEX: // bit 7, which masks NMI, is kept but means nothing
        ports->cmos_index = byte;
        return;
    case CMOS_DATA:
        ports->cmos[ports->cmos_index % sizeof(ports->cmos)] = byte;
        return;
    case POST_CODE:
        ports->post_code = byte;
        return;
    default:
        return;
    }
}

// The devices are 8 bits wide, so a wider access is one to each port in turn; only PCI's
// configuration address is a register of 32 bits. Beyond port 0xFFFF there is nothing.
uint32_t ports_read(struct machine *machine, uint16_t port, unsigned size)
{
    if (port == PCI_ADDRESS && size == 4) {
        return machine->ports.pci_address;
    }
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)read_byte(&machine->ports, (uint32_t)port + i) << 8 * i;
    }
    return value;
}

void ports_write(struct machine *machine, uint16_t port, unsigned size, uint32_t value)
{
    if (port == PCI_ADDRESS && size == 4) {
        machine->ports.pci_address = value;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        write_byte(machine, (uint32_t)port + i, (uint8_t)(value >> 8 * i));
    }
}
