#include "instance.h"

#include <err.h>
#include <stdlib.h>

#include "console.h"
#include "machine.h"
#include "server.h"
#include "session.h"

#define NANOSECONDS_NAP UINT64_C(10000000) // the longest sleep of a machine whose CPUs all wait

struct instance *instance_new(struct server *server)
{
    struct instance *instance = calloc(1, sizeof(*instance));
    const char *error = "out of memory";
    struct machine *machine = instance ? machine_new(server->options->target, &error) : NULL;
    if (!machine) {
        warnx("%s: %s", server->options->target->name, error);
        free(instance);
        return NULL;
    }
    machine->instance = server->next_instance++;
    machine->log = instance_log;
    machine->log_user = instance;
    *instance = (struct instance){
        .server = server,
        .machine = machine,
        .debuggee = {.ops = &machine_ops,
                     .target = machine,
                     .versions = server->options->versions,
                     .compat_2018_client = server->options->compat_2018_client,
                     .send = session_reply},
    };
    LIST_INIT(&instance->sessions);
    LIST_INSERT_HEAD(&server->instances, instance, in_server);
    return instance;
}

void instance_free(struct instance *instance)
{
    if (!instance) {
        return;
    }
    LIST_REMOVE(instance, in_server);
    machine_free(instance->machine);
    free(instance);
}

void instance_receive(struct instance *instance, struct session *session, const uint8_t *packet,
                      size_t len)
{
    const struct server_options *options = instance->server->options;
    if (!options->free_running && instance->machine->running) {
        machine_run(instance->machine, MACHINE_LOCKSTEP + options->poll_interval_us * 1000);
    }
    debuggee_receive(&instance->debuggee, &session->peer, packet, len);
    bool runs = options->free_running && instance->machine->running;
    if (runs || instance->debuggee.searching) {
        server_wake(instance->server);
    }
}

bool instance_is_polling(const struct instance *instance)
{
    const struct server *server = instance->server;
    return server->tick_fd >= 0 && instance->machine->running && !server->ticking;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

// A machine whose CPUs all wait: its virtual time follows the host's.
static uint64_t instance_sleep(struct instance *instance, uint64_t idle)
{
    uint64_t now = uv_hrtime();
    if (instance->asleep_since != 0) {
        uint64_t slept = at_most(now - instance->asleep_since, NANOSECONDS_NAP);
        machine_pass_time(instance->machine, at_most(slept, idle));
        idle = machine_idle_time(instance->machine);
    }
    instance->asleep_since = idle == 0 ? 0 : now;
    return idle == UINT64_MAX ? UINT64_MAX : at_most(idle, NANOSECONDS_NAP);
}

static uint64_t instance_run(struct instance *instance)
{
    struct machine *machine = instance->machine;
    if (!machine->running) {
        instance->asleep_since = 0;
        return UINT64_MAX;
    }
    uint64_t idle = machine_idle_time(machine);
    if (idle != 0) {
        return instance_sleep(instance, idle);
    }
    instance->asleep_since = 0;
    machine_run(machine, MACHINE_SLICE);
    return machine->running ? 0 : UINT64_MAX;
}

uint64_t instance_work(struct instance *instance)
{
    bool searching = debuggee_continue(&instance->debuggee);
    uint64_t delay = instance->server->options->free_running ? instance_run(instance) : UINT64_MAX;
    return searching ? 0 : delay;
}

void instance_log(void *user, const char *line)
{
    struct instance *instance = user;
    console_write(line);
    if (!instance->server->options->text) {
        return;
    }
    char text[CONSOLE_LINE];
    size_t len = console_text(line, text);
    struct session *session = NULL;
    LIST_FOREACH(session, &instance->sessions, in_instance)
    {
        session->transport->send_text(session, text, len);
    }
}
