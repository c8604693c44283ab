#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_rows.h"

static void keep(void *user, struct debuggee_peer *peer, const uint8_t *packet, size_t len)
{
    struct conversation *talk = user;
    assert_true(talk->num_sent < MOST_SENT);
    struct sent *sent = &talk->sent[talk->num_sent++];
    sent->peer = (size_t)(peer - talk->peers);
    sent->len = len;
    sent->bytes = malloc(len ? len : 1);
    assert_non_null(sent->bytes);
    memcpy(sent->bytes, packet, len);
}

struct conversation *conversation_new(enum debuggee_versions versions, bool compat)
{
    struct conversation *talk = calloc(1, sizeof(*talk));
    assert_non_null(talk);
    fake_target_init(&talk->target);
    talk->debuggee = (struct debuggee){
        .ops = &fake_ops,
        .target = &talk->target,
        .versions = versions,
        .compat_2018_client = compat,
        .send = keep,
        .user = talk,
    };
    for (size_t i = 0; i < NUM_PEERS; i++) {
        talk->peers[i].memory = talk->memory[i];
    }
    return talk;
}

void conversation_free(struct conversation *talk)
{
    for (size_t i = 0; i < talk->num_sent; i++) {
        free(talk->sent[i].bytes);
    }
    free(talk);
}

static unsigned digit(char c)
{
    static const char digits[] = "00112233445566778899AaBbCcDdEeFf";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    assert_non_null(at);
    return (unsigned)(at - digits) / 2;
}

// Repeats the last byte until there are as many of it as hex says. Returns where hex ends.
static const char *repeat(const char *hex, uint8_t *out, bool *any, size_t *len)
{
    char *end = NULL;
    size_t times = strtoul(hex, &end, 10);
    assert_true(*len > 0 && *len + times < PACKET_ROOM);
    for (; times > 1; times--, ++*len) {
        out[*len] = out[*len - 1];
        any[*len] = any[*len - 1];
    }
    return end;
}

size_t from_hex(const char *hex, uint8_t *out, bool *any)
{
    size_t len = 0;
    while (*hex) {
        if (*hex == ' ') {
            hex++;
        } else if (*hex == '*') {
            hex = repeat(hex + 1, out, any, &len);
        } else if (strncmp(hex, "ID", 2) == 0) {
            len += from_hex("11 22 33 44", out + len, any + len);
            hex += 2;
        } else {
            any[len] = hex[0] == '.';
            out[len] = any[len] ? 0 : (uint8_t)(digit(hex[0]) * 16 + digit(hex[1]));
            len++;
            hex += 2;
        }
    }
    return len;
}

void say(struct conversation *talk, size_t peer, const char *hex)
{
    static bool any[PACKET_ROOM];
    uint8_t *bytes = malloc(PACKET_ROOM);
    assert_non_null(bytes);
    size_t len = from_hex(hex, bytes, any);
    // An allocation of just this size, so that a sanitizer sees a read past the end.
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    free(bytes);
    debuggee_receive(&talk->debuggee, &talk->peers[peer], exact, len);
    free(exact);
}

static void print_bytes(const uint8_t *bytes, size_t len)
{
    print_error("got %zu bytes:", len);
    for (size_t i = 0; i < len && i < 64; i++) {
        print_error(" %02x", bytes[i]);
    }
    print_error("\n");
}

void expect(struct conversation *talk, size_t peer, const char *hex)
{
    static bool any[PACKET_ROOM];
    static uint8_t wanted[PACKET_ROOM];
    size_t len = from_hex(hex, wanted, any);
    if (talk->num_seen == talk->num_sent) {
        fail_msg("nothing was sent, but should be: %s", hex);
        return;
    }
    const struct sent *sent = &talk->sent[talk->num_seen++];
    bool same = sent->len == len && sent->peer == peer;
    for (size_t i = 0; same && i < len; i++) {
        same = any[i] || sent->bytes[i] == wanted[i];
    }
    if (!same) {
        print_bytes(sent->bytes, sent->len);
        fail_msg("wanted to peer %zu, not %zu: %s", peer, sent->peer, hex);
    }
}

void expect_silence(struct conversation *talk)
{
    if (talk->num_seen != talk->num_sent) {
        print_bytes(talk->sent[talk->num_seen].bytes, talk->sent[talk->num_seen].len);
        fail_msg("something was sent to peer %zu", talk->sent[talk->num_seen].peer);
    }
}

void say_and_expect(struct conversation *talk, size_t peer, const char *request, const char *reply)
{
    say(talk, peer, request);
    expect(talk, peer, reply);
    expect_silence(talk);
}

void expect_asked(struct conversation *talk, const char *log)
{
    assert_string_equal(talk->target.log, log);
    fake_target_clear_log(&talk->target);
}
