// The documented calls on transports.

#include "transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interface.h"

// Room for a frame that lies across the end of another, and for any datagram.
enum { BUFFER_SIZE = 2 * (FRAME_MAX + 7) };

// NOLINTBEGIN(readability-identifier-naming): the documented names

static bool is_offered(PS_TRANSPORT_TYPE type)
{
    return type == pttSerial || type == pttNet || type == pttPipe || type == pttTcp;
}

PULSE_STATUS TransportCreate(PPS_TRANSPORT *ppTransport, PS_TRANSPORT_TYPE Type)
{
    if (ppTransport == NULL || !is_offered(Type)) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    *ppTransport = NULL;
    struct pulse_transport *transport = calloc(1, sizeof(*transport));
    uint8_t *buffer = calloc(1, BUFFER_SIZE);
    if (transport == NULL || buffer == NULL) {
        free(transport);
        free(buffer);
        return PULSE_STATUS_INSUFFICIENT_RESOURCES;
    }
    transport->type = Type;
    transport->fd = -1;
    transport->buffer = buffer;
    transport->version = PROTOCOL_V2;
    *ppTransport = transport;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS TransportGetInterfaceCount(PPS_TRANSPORT pTransport, uint32_t *pCount)
{
    if (pTransport == NULL || pCount == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    *pCount = 0;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS TransportGetInterfaceName(PPS_TRANSPORT pTransport, uint32_t Index, char *pName,
                                       uint32_t *pcbBufSize)
{
    (void)Index;
    if (pTransport == NULL || pName == NULL || pcbBufSize == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    size_t size = strlen(pTransport->name) + 1;
    if (*pcbBufSize < size) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    memcpy(pName, pTransport->name, size);
    return PULSE_STATUS_SUCCESS;
}

static void transport_close(struct pulse_transport *transport)
{
    if (transport->fd >= 0) {
        close(transport->fd);
    }
    transport->fd = -1;
    transport->lost = false;
}

static PULSE_STATUS status_of_errno(int error)
{
    switch (error) {
    case EINVAL:
        return PULSE_STATUS_INVALID_PARAMETER;
    case ENOMEM:
    case ENOBUFS:
        return PULSE_STATUS_INSUFFICIENT_RESOURCES;
    default:
        return PULSE_STATUS_DEVICE_CONNECTION_LOST;
    }
}

static void begin_stream(struct pulse_transport *transport)
{
    frame_reader_init(&transport->reader, transport->buffer, BUFFER_SIZE, PACKET_MAX, FRAME_RESCAN);
    transport_set_version(transport, transport->version);
}

PULSE_STATUS TransportResetConnection(PPS_TRANSPORT pTransport)
{
    if (pTransport == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    transport_close(pTransport);
    begin_stream(pTransport);
    pTransport->fd = interface_open(pTransport->type, pTransport->name);
    return pTransport->fd >= 0 ? PULSE_STATUS_SUCCESS : status_of_errno(errno);
}

PULSE_STATUS TransportSetInterfaceName(PPS_TRANSPORT pTransport, const char *pName)
{
    if (pTransport == NULL || pName == NULL || strlen(pName) >= TRANSPORT_NAME_SIZE) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    memcpy(pTransport->name, pName, strlen(pName) + 1);
    return TransportResetConnection(pTransport);
}

PULSE_STATUS TransportSetInterfaceIndex(PPS_TRANSPORT pTransport, uint32_t Index)
{
    (void)pTransport;
    (void)Index;
    return PULSE_STATUS_INVALID_PARAMETER;
}

PULSE_STATUS TransportSetRawDataCallback(PPS_TRANSPORT pTransport, PS_RAW_DATA_CALLBACK Callback,
                                         uintptr_t Context)
{
    if (pTransport == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    pTransport->callback = Callback;
    pTransport->callback_context = Context;
    return PULSE_STATUS_SUCCESS;
}

PULSE_STATUS TransportDestroy(PPS_TRANSPORT pTransport)
{
    if (pTransport == NULL) {
        return PULSE_STATUS_INVALID_PARAMETER;
    }
    transport_close(pTransport);
    free(pTransport->buffer);
    free(pTransport);
    return PULSE_STATUS_SUCCESS;
}

// NOLINTEND(readability-identifier-naming)

void transport_set_version(struct pulse_transport *transport, enum protocol_version version)
{
    transport->version = version;
    transport->reader.max = packet_max(version);
    transport->reader.recovery = version == PROTOCOL_V2 ? FRAME_RESCAN : FRAME_SKIP;
}

bool transport_loses_packets(const struct pulse_transport *transport)
{
    return transport->type == pttNet || transport->type == pttSerial;
}
