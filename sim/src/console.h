#ifndef SIM_CONSOLE_H
#define SIM_CONSOLE_H

// Log lines: to standard error, and as the text that peers get.

#include <stddef.h>

enum { CONSOLE_LINE = 1024 }; // longer lines are cut

// Writes line and a line end to standard error, at once. Lost when nobody reads what stands there
// already: a server must not wait for that.
void console_write(const char *line);

// Makes line the log text of the protocol: everything outside 0x20-0x7E and TAB is '?', the first
// byte is printable, CR LF at the end. Returns its length.
size_t console_text(const char *line, char out[CONSOLE_LINE]);

#endif
