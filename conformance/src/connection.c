#include "connection.h"

#include <stddef.h>
#include <string.h>

struct scheme {
    const char *prefix;
    PS_TRANSPORT_TYPE type;
};

static const struct scheme schemes[] = {
    {"udp:", pttNet},
    {"tcp:", pttTcp},
    {"unix:", pttPipe},
    {"pty:", pttSerial},
};

// The scheme that the endpoint begins with, and in *out_name what follows.
static const struct scheme *scheme_of(const char *endpoint, const char **out_name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (strncmp(endpoint, schemes[i].prefix, len) == 0) {
            *out_name = endpoint + len;
            return &schemes[i];
        }
    }
    return NULL;
}

static PULSE_STATUS open_transport(const struct connection_options *options, PPS_TRANSPORT *out)
{
    const char *name = NULL;
    const struct scheme *scheme = scheme_of(options->endpoint, &name);
    if (scheme == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    PULSE_STATUS status = TransportCreate(out, scheme->type);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    TransportSetRawDataCallback(*out, options->text, options->text_context);
    return TransportSetInterfaceName(*out, name);
}

static PULSE_STATUS open_engine(const struct connection_options *options, PPS_TRANSPORT transport,
                                PPS_ENGINE *out)
{
    PULSE_STATUS status = EngCreateEngine(out);
    if (status != PULSE_STATUS_SUCCESS) {
        return status;
    }
    EngAssignTransport(*out, transport);
    EngSetRequestTimeout(*out, options->timeout_ms);
    status = EngSetProtocolVersion(*out, options->protocol);
    return status == PULSE_STATUS_SUCCESS ? EngStart(*out) : status;
}

PULSE_STATUS connection_open(const struct connection_options *options, struct connection *out)
{
    *out = (struct connection){0};
    PULSE_STATUS status = open_transport(options, &out->transport);
    if (status == PULSE_STATUS_SUCCESS) {
        status = open_engine(options, out->transport, &out->engine);
    }
    if (status != PULSE_STATUS_SUCCESS) {
        connection_close(out);
    }
    return status;
}

void connection_close(struct connection *connection)
{
    if (connection->engine != NULL) {
        EngDestroyEngine(connection->engine);
    }
    if (connection->transport != NULL) {
        TransportDestroy(connection->transport);
    }
    *connection = (struct connection){0};
}
