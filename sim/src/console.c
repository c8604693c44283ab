#include "console.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

// As long as a pipe polls as writable it takes PIPE_BUF bytes.
void console_write(const char *line)
{
    size_t len = strnlen(line, CONSOLE_LINE - 1);
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
        return;
    }
    char end = '\n';
    struct iovec parts[] = {{(char *)(uintptr_t)line, len}, {&end, 1}};
    if (writev(STDERR_FILENO, parts, 2) < 0) {
        return; // there is nowhere to report it
    }
}

static char text_byte(char byte, size_t position)
{
    if (byte == '\t' && position == 0) {
        return ' ';
    }
    bool passes = byte == '\t' || (byte >= 0x20 && byte <= 0x7E);
    if (!passes) {
        return '?';
    }
    return byte;
}

size_t console_text(const char *line, char out[CONSOLE_LINE])
{
    size_t len = strnlen(line, CONSOLE_LINE - 2);
    for (size_t i = 0; i < len; i++) {
        out[i] = text_byte(line[i], i);
    }
    if (len == 0) {
        out[len++] = ' ';
    }
    out[len++] = '\r';
    out[len++] = '\n';
    return len;
}
