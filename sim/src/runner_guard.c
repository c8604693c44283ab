// The translator of Unicorn 2.0.1 aborts the process on a few encodings that are #UD on a
// processor. It translates ahead of execution, so no hook is in time; but it stops where an exit is
// registered.
#include "runner_engine.h"

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
    if (*count + MEMORY_PAGE_SIZE > ENGINE_MAX_EXITS) {
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
    for (size_t i = 0; engine->has_exempt && i < count; i++) {
        if (engine->exits[i] == engine->exempt) {
            engine->exits[i] = engine->exits[--count];
        }
    }
    return count;
}

void guard_update(struct engine *engine)
{
    size_t count = 0;
    engine->churn += engine->has_exits ? 1 : 0; // a run drops the translations around its exits
    if (!engine->guard_stale) {
        return;
    }
    // Pages that overflow the list come back one by one as they are fetched from. There is always
    // room for the two that an instruction can lie in.
    if (!collect(engine, &count)) {
        windows_drop_all(engine);
        count = 0;
    }
    count = remove_exempt(engine, count);
    if (count != 0 || engine->has_exits) {
        uc_ctl_set_exits(engine->uc, engine->exits, count);
    }
    engine->has_exits = count != 0;
    engine->guard_stale = false;
}
