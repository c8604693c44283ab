// The translator of Unicorn 2.0.1 aborts the process on a few encodings that are #UD on a
// processor. It translates ahead of execution, so no hook is in time; but it stops where an exit is
// registered.
#include "runner_engine.h"

#include <string.h>

// The offsets from..to of a page at which poison may begin, as linear addresses; out has room for
// one per byte. An instruction that may go on in the next page counts, unless its bytes here say
// that it is none.
static size_t find_poison(const struct engine *engine, const struct window *window, size_t from,
                          size_t to, uint64_t *out)
{
    const uint8_t *page = memory_page(&engine->machine->memory, window->guest_phys);
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        if (insn_may_be_poison(page + i, MEMORY_PAGE_SIZE - i)) {
            out[count++] = window->linear + i;
        }
    }
    return count;
}

void guard_note(struct window *window, size_t from, size_t to)
{
    if (!window->guard_stale) {
        window->stale_from = from;
        window->stale_to = to;
    }
    window->stale_from = from < window->stale_from ? from : window->stale_from;
    window->stale_to = to > window->stale_to ? to : window->stale_to;
    window->guard_stale = true;
    window->engine->guard_stale = true;
}

// Appends the exits of a window; false when there might be no room for them. A page without any has
// none unless its changed bytes make one.
static bool append(struct engine *engine, struct window *window, size_t *count)
{
    uint64_t *out = engine->exits + *count;
    if (*count + MEMORY_PAGE_SIZE + ENGINE_MAX_EXPECTED > ENGINE_MAX_EXITS) {
        return false;
    }
    if (window->guard_stale && !window->has_poison) {
        window->has_poison =
            find_poison(engine, window, window->stale_from, window->stale_to, out) != 0;
    }
    window->guard_stale = false;
    if (window->has_poison) {
        size_t found = find_poison(engine, window, 0, MEMORY_PAGE_SIZE, out);
        window->has_poison = found != 0;
        *count += found;
    }
    return true;
}

static bool collect(struct engine *engine, size_t *count)
{
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        struct window *window = &engine->windows[i];
        bool needed = window->has_poison || window->guard_stale;
        if (window->size != 0 && window->marks && needed && !append(engine, window, count)) {
            return false;
        }
    }
    return true;
}

static size_t remove_exempt(struct engine *engine, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!engine->has_exempt || engine->exits[i] != engine->exempt) {
            engine->exits[kept++] = engine->exits[i];
        }
    }
    return kept;
}

static size_t append_expected(struct engine *engine, size_t count)
{
    for (size_t i = 0; i < engine->num_expected; i++) {
        engine->exits[count++] = engine->expected[i];
    }
    return count;
}

void guard_update(struct engine *engine)
{
    size_t count = 0;
    engine->churn += engine->num_exits != 0; // a run drops the translations around its exits
    if (!engine->guard_stale) {
        return;
    }
    // Pages that overflow the list come back one by one as they are fetched from. There is always
    // room for the two that an instruction can lie in.
    if (!collect(engine, &count)) {
        windows_drop_all(engine);
        count = 0;
    }
    count = remove_exempt(engine, append_expected(engine, count));
    if (count != 0 || engine->num_exits != 0) {
        uc_ctl_set_exits(engine->uc, engine->exits, count);
    }
    engine->num_exits = count;
    engine->guard_stale = false;
}

static bool is_registered(const struct engine *engine, uint64_t linear)
{
    for (size_t i = 0; i < engine->num_exits; i++) {
        if (engine->exits[i] == linear) {
            return true;
        }
    }
    return engine->has_exempt && engine->exempt == linear;
}

// Every window of a page that Unicorn may translate needs an exit at this offset.
static bool expect_exits(struct engine *engine, uint64_t page_phys, size_t offset)
{
    bool all = true;
    for (size_t i = 0; i < ENGINE_WINDOWS; i++) {
        const struct window *window = &engine->windows[i];
        bool shows = window->size != 0 && window->marks && window->guest_phys == page_phys;
        if (!shows || is_registered(engine, window->linear + offset)) {
            continue;
        }
        all = false;
        if (engine->num_expected < ENGINE_MAX_EXPECTED) {
            engine->expected[engine->num_expected++] = window->linear + offset;
        }
    }
    return all;
}

bool guard_allows(struct engine *engine, uint64_t guest_phys, const uint8_t *bytes, size_t len)
{
    uint8_t around[3 * INSN_MAX_LENGTH];
    size_t offset = (size_t)(guest_phys & (MEMORY_PAGE_SIZE - 1));
    size_t from = offset < INSN_MAX_LENGTH ? 0 : offset - INSN_MAX_LENGTH;
    size_t to = offset + len + INSN_MAX_LENGTH;
    uint64_t page_phys = guest_phys - offset;
    bool allowed = true;
    to = to < MEMORY_PAGE_SIZE ? to : MEMORY_PAGE_SIZE;
    memcpy(around, memory_page(&engine->machine->memory, guest_phys) + from, to - from);
    memcpy(around + (offset - from), bytes, len);
    for (size_t i = from; i < offset + len; i++) {
        if (insn_may_be_poison(around + (i - from), to - i)) {
            allowed = expect_exits(engine, page_phys, i) && allowed;
        }
    }
    engine->guard_stale = engine->guard_stale || !allowed;
    return allowed;
}
