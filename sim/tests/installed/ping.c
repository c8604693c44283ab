// Pings a debuggee in this process.

#include <pulsim/pulsim.h>
#include <stdio.h>

int main(void)
{
    static const unsigned char ping[8] = {2, 0, 0, 0, 1, 0, 0, 0};
    const void *reply = NULL;
    size_t len = 0;
    char error[200] = "";
    struct pulsim *pulsim = pulsim_new(NULL, error, sizeof(error));
    if (!pulsim) {
        (void)fprintf(stderr, "%s\n", error);
        return 1;
    }
    struct pulsim_peer *peer = pulsim_peer_new(pulsim);
    pulsim_request(peer, ping, sizeof(ping), &reply, &len);
    pulsim_free(pulsim);
    return len == 16 ? 0 : 1;
}
