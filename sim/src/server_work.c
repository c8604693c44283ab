// What a server does between packets: running machines, searches, and the poll interval.

#include <sys/timerfd.h>
#include <unistd.h>

#include "instance.h"
#include "server.h"
#include "session.h"

enum {
    NANOSECONDS_MS = 1000000,
    NANOSECONDS_S = 1000000000,
};

static void on_nap_over(uv_timer_t *timer)
{
    server_wake(timer->data);
}

static void on_work(uv_idle_t *idle)
{
    struct server *server = idle->data;
    uint64_t delay = UINT64_MAX;
    struct instance *instance = NULL;
    LIST_FOREACH(instance, &server->instances, in_server)
    {
        uint64_t wanted = instance_work(instance);
        delay = wanted < delay ? wanted : delay;
    }
    if (delay != 0) {
        uv_idle_stop(idle);
    }
    if (delay != 0 && delay != UINT64_MAX) {
        uint64_t ms = (delay + NANOSECONDS_MS - 1) / NANOSECONDS_MS;
        uv_timer_start(&server->nap, on_nap_over, ms, 0);
    }
    server_drain(server); // may wake the server again
}

void server_wake(struct server *server)
{
    uv_idle_start(&server->work, on_work);
}

void server_drain(struct server *server)
{
    struct session *session = LIST_FIRST(&server->waiting);
    while (session) {
        struct session *next = LIST_NEXT(session, in_waiting);
        session_drain(session);
        if (session->transport->resume && session_can_receive(session)) {
            session->transport->resume(session);
        }
        session = next;
    }
}

static void on_tick(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status, (void)events;
    uint64_t expirations = 0;
    (void)!read(server->tick_fd, &expirations, sizeof(expirations));
    server->tick_armed = false;
    server->ticking = true;
    server_drain(server);
    server->ticking = false;
}

// Ticks are the multiples of the interval on the host's clock; the timer runs only when one
// matters.
void server_await_tick(struct server *server)
{
    if (server->tick_armed) {
        return;
    }
    uint64_t interval = server->options->poll_interval_us * 1000;
    uint64_t next = (uv_hrtime() / interval + 1) * interval;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(next / NANOSECONDS_S),
                                           .tv_nsec = (long)(next % NANOSECONDS_S)}};
    server->tick_armed = timerfd_settime(server->tick_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

bool server_work_open(struct server *server)
{
    const struct server_options *options = server->options;
    server->tick_fd = -1;
    server->work.data = server->nap.data = server->tick.data = server;
    uv_idle_init(&server->loop, &server->work);
    uv_timer_init(&server->loop, &server->nap);
    if (!options->free_running || options->poll_interval_us == 0) {
        return true;
    }
    server->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return server->tick_fd >= 0 &&
           uv_poll_init(&server->loop, &server->tick, server->tick_fd) == 0 &&
           uv_poll_start(&server->tick, UV_READABLE, on_tick) == 0;
}

void server_work_close(struct server *server)
{
    handle_close((uv_handle_t *)&server->work);
    handle_close((uv_handle_t *)&server->nap);
    handle_close((uv_handle_t *)&server->tick);
    if (server->tick_fd >= 0) {
        close(server->tick_fd);
    }
}
