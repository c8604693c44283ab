#ifndef SIM_TESTS_CLIENT_H
#define SIM_TESTS_CLIENT_H

// A client of a program: packets by hand, over whatever transport.

#include "program.h"
#include "protocol/frame.h"
#include "protocol/packets.h"

enum { CLIENT_TEXT = 4096 };

// A client's connection to one endpoint of a program.
struct client {
    int fd;
    bool is_stream;
    bool is_closed; // by the other side
    struct frame_reader reader;
    size_t num_dropped;     // bad frames received
    char text[CLIENT_TEXT]; // received outside of packets
    size_t text_len;
    uint8_t buffer[FRAME_MAX];
};

void client_open(struct client *client, const struct program *program, size_t endpoint);
void client_close(struct client *client);

// Starts a program with a single endpoint of that kind and more args, and opens a client there; and
// ends both.
void client_start(struct client *client, struct program *program, enum transport transport,
                  const char *const *more);
void client_finish(struct client *client, struct program *program);

// A test over one transport: its state is that element of transports.
extern enum transport transports[4];
#define OVER(sentence, test, row)                                                                  \
    {                                                                                              \
        sentence, test, NULL, NULL, &transports[row]                                               \
    }

// Sends one packet, in a frame where there are frames.
void client_send(struct client *client, const void *packet, size_t len);

// Sends bytes as they are: one datagram, or somewhere on the stream. False when the other side is
// gone.
bool client_send_bytes(struct client *client, const void *bytes, size_t len);

// Receives the next packet into out, which has PACKET_MAX + 1 bytes. Returns its length; 0 when the
// other side closed.
size_t client_receive(struct client *client, uint8_t *out);

// Reads until this text has come outside of packets.
void client_await_text(struct client *client, const char *text);

// Receives packets of a stream until this text has come outside of them; out[id] becomes 1 for
// those with an id below num_ids. Returns how many that were.
size_t client_collect_until(struct client *client, const char *text, uint8_t *out, size_t num_ids);

// Receives exactly len bytes of a stream as they come. Not to be mixed with the other calls.
void client_receive_bytes(struct client *client, uint8_t *out, size_t len);

// True when nothing has come that was not yet received. Does not wait.
bool client_is_quiet(struct client *client);

// Sends a version 2 ping with id and expects its reply next.
void client_ping(struct client *client, uint32_t id);

// Sends packet and receives the reply, whose header must answer it.
size_t client_ask(struct client *client, const void *packet, size_t len, uint8_t *out);

// Requests of version 2; out has room for the whole packet. They return its length.
size_t request_simple(uint8_t class, uint16_t type, uint32_t id, uint8_t *out);
size_t request_read(uint32_t id, uint64_t guest_phys, uint32_t num_bytes, uint8_t *out);
size_t request_write(uint32_t id, uint64_t guest_phys, const void *bytes, size_t num_bytes,
                     uint8_t *out);
size_t request_number(uint16_t type, uint32_t id, uint64_t number, size_t size, uint8_t *out);

// The number of size bytes at offset of a reply.
uint64_t reply_number(const uint8_t *reply, size_t offset, size_t size);

#endif
