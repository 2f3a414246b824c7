/*
 * Job `pump`: keeps the standard streams of a moved process joined to what they are at home. One process per
 * migration and host, and its keeper (see keeper.h), so that a kill of either ends nothing. It outlives the
 * agent, which it needs only to be told what to do.
 *
 *   exile-shim pump --socket PATH      prints "pump PID", the process that stays and listens at PATH
 *
 * Lines on the socket, one answer each, or "error TEXT":
 *   take NAME up|down PID FD     joins a descriptor of another process to a wire (home).   took NAME FAR SIZE
 *   make NAME up|down SIZE BYTES joins a new pipe to a wire (destination); so many bytes
 *                                have passed elsewhere before.                             made NAME FAR END
 *   terminal NAME PATH keys|none joins this terminal, whose job moves (home); keys: some one
 *                                of it may read them                                       took NAME FAR 0
 *   member PID                   one that moves with it (home), the root first             ok
 *   join NAME PID FD             joins the master that the cell's init holds (there)       took NAME FAR 0
 *   release                      a deputy is to stop or end: the terminal is the shell's   released
 *   look                         a deputy was continued: the job may be in the background
 *                                now (home)                    looked foreground|background|none
 *   place foreground|background  so it is here as well, before the process is continued    ok
 *   resized                      the terminal's window may have another size               ok
 *   start                        FAR and END have been taken, with pidfd_getfd(2), from our descriptors of
 *                                these numbers; ours are closed. Bytes move from now on.   started
 *   halt                         no byte moves until the next `start`                      halted
 *   ends                         NAME up|down REAL WIRE SIZE, a line each (our descriptors, -1: gone;
 *                                the pipe's size), and                                     end
 *   status                       NAME up|down BYTES PENDING open|over, a line each, and    end
 *   quit                         drops all, as it is.                                      bye
 *
 *   pid                          our process now, and its keeper                           pid PID PID
 *
 * SIZE is that of the pipe, 0 where it is none. Until `start` nothing is read or written: `quit` leaves no trace. See stream.h for up and down.
 */
#include "lines.h"
#include "resident.h"
#include "server.h"
#include "stream.h"
#include "sys.h"
#include "terminal.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_STREAMS = 256,
    MAX_WORDS = 6,
};

struct pump {
    struct stream streams[MAX_STREAMS];
    size_t count;
    struct terminal terminal; /* if it has a name */
    char terminal_name[STREAM_NAME];
    bool started;
    bool halted;
    bool quit;
    pid_t keeper;
};

static struct stream *find(struct pump *pump, const char *name)
{
    for (size_t i = 0; i < pump->count; i++) {
        if (strcmp(pump->streams[i].name, name) == 0)
            return &pump->streams[i];
    }
    return NULL;
}

/* The next stream, once its name and direction are seen to be good; or NULL, and the client knows why. */
static struct stream *next_stream(struct pump *pump, int fd, char **words, bool *up)
{
    *up = strcmp(words[2], "up") == 0;
    if (!*up && strcmp(words[2], "down") != 0)
        line_say(fd, "error neither up nor down: %s", words[2]);
    else if (strlen(words[1]) >= STREAM_NAME || find(pump, words[1]))
        line_say(fd, "error a name too long, or taken: %s", words[1]);
    else if (pump->count == MAX_STREAMS || pump->started)
        line_say(fd, "error no more streams are taken");
    else
        return &pump->streams[pump->count];
    return NULL;
}

static void obey_take(struct pump *pump, int fd, char **words)
{
    bool up;
    struct stream *stream = next_stream(pump, fd, words, &up);
    long pid;
    long number;
    int error;

    if (!stream)
        return;
    if (sys_parse_number(words[3], 1, INT_MAX, &pid) < 0 ||
        sys_parse_number(words[4], 0, INT_MAX, &number) < 0) {
        line_say(fd, "error take NAME up|down PID FD");
        return;
    }
    error = stream_take(stream, words[1], up, (pid_t)pid, (int)number);
    if (error < 0) {
        line_say(fd, "error cannot take descriptor %ld of process %ld: %s", number, pid, strerror(-error));
        return;
    }
    pump->count++;
    line_say(fd, "took %s %d %d", stream->name, stream->far, stream_size(stream));
}

static void obey_make(struct pump *pump, int fd, char **words)
{
    bool up;
    struct stream *stream = next_stream(pump, fd, words, &up);
    long size;
    long bytes;
    int error;

    if (!stream)
        return;
    if (sys_parse_number(words[3], 0, INT_MAX, &size) < 0 ||
        sys_parse_number(words[4], 0, LONG_MAX, &bytes) < 0) {
        line_say(fd, "error make NAME up|down SIZE BYTES");
        return;
    }
    error = stream_make(stream, words[1], up, (int)size, (uint64_t)bytes);
    if (error < 0) {
        line_say(fd, "error cannot make a pipe: %s", strerror(-error));
        return;
    }
    pump->count++;
    line_say(fd, "made %s %d %d", stream->name, stream->far, stream->end);
}

static bool has_terminal(const struct pump *pump)
{
    return pump->terminal_name[0] != 0;
}

static void took_terminal(struct pump *pump, int fd, const char *name, int error)
{
    if (error < 0) {
        line_say(fd, "error cannot take the terminal: %s", strerror(-error));
        return;
    }
    snprintf(pump->terminal_name, sizeof(pump->terminal_name), "%s", name);
    line_say(fd, "took %s %d 0", name, pump->terminal.far);
}

static bool may_take_terminal(const struct pump *pump, int fd, const char *name)
{
    if (!has_terminal(pump) && !pump->started && strlen(name) < STREAM_NAME)
        return true;
    line_say(fd, "error no more terminals are taken");
    return false;
}

static void obey_terminal(struct pump *pump, int fd, char **words)
{
    if (may_take_terminal(pump, fd, words[1]))
        took_terminal(pump, fd, words[1],
                      terminal_take(&pump->terminal, words[2], strcmp(words[3], "keys") == 0));
}

static void obey_join(struct pump *pump, int fd, char **words)
{
    long pid;
    long number;

    if (!may_take_terminal(pump, fd, words[1]))
        return;
    if (sys_parse_number(words[2], 1, INT_MAX, &pid) < 0 ||
        sys_parse_number(words[3], 0, INT_MAX, &number) < 0)
        line_say(fd, "error join NAME PID FD");
    else
        took_terminal(pump, fd, words[1], terminal_join(&pump->terminal, (pid_t)pid, (int)number));
}

static void obey_member(struct pump *pump, int fd, char **words)
{
    long pid;

    if (sys_parse_number(words[1], 1, INT_MAX, &pid) < 0 || terminal_member(&pump->terminal, (pid_t)pid) < 0)
        line_say(fd, "error member PID, not too many");
    else
        line_say(fd, "ok");
}

static void release(struct pump *pump)
{
    if (has_terminal(pump) && pump->started && pump->terminal.home && !pump->terminal.over)
        terminal_release(&pump->terminal);
}

static void obey_release(struct pump *pump, int fd)
{
    release(pump);
    line_say(fd, "released");
}

static void obey_look(struct pump *pump, int fd)
{
    if (has_terminal(pump) && pump->started && pump->terminal.home && !pump->terminal.over)
        terminal_continued(&pump->terminal);
    line_say(fd, "looked %s", !has_terminal(pump)                   ? "none"
                              : pump->terminal.background_told ? "background"
                                                               : "foreground");
}

static void obey_place(struct pump *pump, int fd, char **words)
{
    if (has_terminal(pump) && pump->started && !pump->terminal.home && !pump->terminal.over)
        terminal_there_place(&pump->terminal, strcmp(words[1], "background") != 0);
    line_say(fd, "ok");
}

static void obey_resized(struct pump *pump, int fd)
{
    if (has_terminal(pump) && pump->started && !pump->terminal.over)
        terminal_resized(&pump->terminal);
    line_say(fd, "ok");
}

static void obey_start(struct pump *pump, int fd)
{
    for (size_t i = 0; i < pump->count; i++)
        stream_given(&pump->streams[i]);
    if (has_terminal(pump) && !pump->started)
        terminal_start(&pump->terminal);
    pump->started = true;
    pump->halted = false;
    line_say(fd, "started");
}

static void obey_halt(struct pump *pump, int fd)
{
    pump->halted = true;
    line_say(fd, "halted");
}

static void obey_ends(const struct pump *pump, int fd)
{
    for (size_t i = 0; i < pump->count; i++) {
        const struct stream *stream = &pump->streams[i];

        line_say(fd, "%s %s %d %d %d", stream->name, stream->up ? "up" : "down", stream->real, stream->wire,
                 stream_size(stream));
    }
    line_say(fd, "end");
}

static void obey_status(struct pump *pump, int fd)
{
    for (size_t i = 0; i < pump->count; i++) {
        const struct stream *stream = &pump->streams[i];

        line_say(fd, "%s %s %llu %d %s", stream->name, stream->up ? "up" : "down", (unsigned long long)stream->bytes, stream_pending(stream),
                 stream->wire < 0 ? "over" : "open");
    }
    if (has_terminal(pump)) {
        struct terminal *terminal = &pump->terminal;

        if (!terminal->home)
            terminal_modes(terminal);
        line_say(fd, "%s %s %llu %d %s", pump->terminal_name, terminal->home ? "down" : "up",
                 (unsigned long long)(terminal->home ? terminal->frames.done : terminal->frames.sent),
                 terminal_pending(terminal), terminal->over ? "over" : "open");
    }
    line_say(fd, "end");
}

static void obey_pid(const struct pump *pump, int fd)
{
    line_say(fd, "pid %d %d", getpid(), pump->keeper);
}

static void obey(void *context, int fd, char *line)
{
    struct pump *pump = context;
    char *words[MAX_WORDS] = {0};
    char *rest = NULL;
    size_t count = 0;

    if (!line)
        return;
    for (char *word = strtok_r(line, " ", &rest); word && count < MAX_WORDS;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    if (count == 5 && strcmp(words[0], "take") == 0)
        obey_take(pump, fd, words);
    else if (count == 5 && strcmp(words[0], "make") == 0)
        obey_make(pump, fd, words);
    else if (count == 4 && strcmp(words[0], "terminal") == 0)
        obey_terminal(pump, fd, words);
    else if (count == 4 && strcmp(words[0], "join") == 0)
        obey_join(pump, fd, words);
    else if (count == 2 && strcmp(words[0], "member") == 0)
        obey_member(pump, fd, words);
    else if (count == 1 && strcmp(words[0], "release") == 0)
        obey_release(pump, fd);
    else if (count == 1 && strcmp(words[0], "look") == 0)
        obey_look(pump, fd);
    else if (count == 2 && strcmp(words[0], "place") == 0)
        obey_place(pump, fd, words);
    else if (count == 1 && strcmp(words[0], "resized") == 0)
        obey_resized(pump, fd);
    else if (count == 1 && strcmp(words[0], "start") == 0)
        obey_start(pump, fd);
    else if (count == 1 && strcmp(words[0], "halt") == 0)
        obey_halt(pump, fd);
    else if (count == 1 && strcmp(words[0], "ends") == 0)
        obey_ends(pump, fd);
    else if (count == 1 && strcmp(words[0], "status") == 0)
        obey_status(pump, fd);
    else if (count == 1 && strcmp(words[0], "pid") == 0)
        obey_pid(pump, fd);
    else if (count == 1 && strcmp(words[0], "quit") == 0) {
        release(pump);
        line_say(fd, "bye");
        pump->quit = true;
    } else
        line_say(fd, "error no such command");
}

static int live(struct server *server)
{
    static struct pump the_pump;
    struct pump *pump = &the_pump;
    static struct pollfd polls[SERVER_POLLS + TERMINAL_POLLS + MAX_STREAMS * STREAM_POLLS];
    static const struct pollfd nothing_new[SERVER_POLLS];

    pump->keeper = server->keeper;
    server_step(server, nothing_new, obey, pump);

    while (!pump->quit && !server->alone) {
        struct pollfd *of_terminal = polls + SERVER_POLLS;
        struct pollfd *of_streams = of_terminal + TERMINAL_POLLS;
        bool moving = pump->started && !pump->halted;
        size_t count = moving ? pump->count : 0;
        bool terminal = moving && has_terminal(pump);
        int timeout = terminal ? terminal_timeout(&pump->terminal) : -1;

        server_poll(server, polls);
        for (size_t i = 0; i < count; i++)
            stream_poll(&pump->streams[i], of_streams + i * STREAM_POLLS);
        of_terminal[0].fd = of_terminal[1].fd = -1;
        if (terminal)
            terminal_poll(&pump->terminal, of_terminal);
        if (poll(polls, SERVER_POLLS + TERMINAL_POLLS + count * STREAM_POLLS, timeout) < 0 && errno != EINTR)
            return EXIT_FAILED;
        if (terminal)
            terminal_step(&pump->terminal, of_terminal);
        for (size_t i = 0; i < count; i++)
            stream_step(&pump->streams[i], of_streams + i * STREAM_POLLS);
        server_step(server, polls, obey, pump);
    }
    return EXIT_OK;
}

int job_pump(int argc, char **argv)
{
    return resident_start("pump", argc, argv, live, true);
}
