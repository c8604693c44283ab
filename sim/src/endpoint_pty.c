// A pseudo-terminal as a serial line: LINK leads to its slave side.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "endpoint.h"
#include "server.h"
#include "stream.h"

enum { TERMINAL_NAME = 64 };

struct line {
    struct endpoint endpoint;
    struct stream_list streams; // the one peer at the other side
    int slave;                  // kept open, so that the line survives its clients
    bool linked;
    char terminal[TERMINAL_NAME];
};

// A link that leads nowhere was left behind by a dead server.
static bool is_dangling(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && stat(path, &info) != 0 &&
           errno == ENOENT;
}

static bool make_link(const char *terminal, const char *path)
{
    if (symlink(terminal, path) == 0) {
        return true;
    }
    if (errno != EEXIST) {
        return false;
    }
    if (!is_dangling(path)) {
        errno = EEXIST;
        return false;
    }
    unlink(path);
    return symlink(terminal, path) == 0;
}

// Every byte passes as it is, in both directions.
static bool make_raw(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0) {
        return false;
    }
    cfmakeraw(&settings);
    return tcsetattr(fd, TCSANOW, &settings) == 0;
}

static bool line_open(struct endpoint *endpoint)
{
    struct line *line = (struct line *)endpoint;
    LIST_INIT(&line->streams);
    line->slave = -1;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master < 0) {
        return false;
    }
    if (grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, line->terminal, sizeof(line->terminal)) != 0) {
        close(master);
        return false;
    }
    line->slave = open(line->terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
    line->linked = line->slave >= 0 && make_raw(line->slave) &&
                   make_link(line->terminal, endpoint->address->text);
    if (!line->linked) {
        int error = errno;
        close(master);
        errno = error;
        return false;
    }
    return stream_new(endpoint->server, master, false, &line->streams) != NULL;
}

static void remove_link(const struct line *line)
{
    char target[TERMINAL_NAME];
    const char *path = line->endpoint.address->text;
    ssize_t len = readlink(path, target, sizeof(target));
    if (len == (ssize_t)strlen(line->terminal) &&
        memcmp(target, line->terminal, (size_t)len) == 0) {
        unlink(path);
    }
}

static void line_close(struct endpoint *endpoint)
{
    struct line *line = (struct line *)endpoint;
    while (!LIST_EMPTY(&line->streams)) {
        stream_close(LIST_FIRST(&line->streams));
    }
    if (line->slave > 0) {
        close(line->slave);
    }
    if (line->linked) {
        remove_link(line);
    }
}

const struct endpoint_ops endpoint_pty_ops = {line_open, line_close, sizeof(struct line)};
