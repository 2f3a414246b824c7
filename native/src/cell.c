/*
 * Job `cell`: starts the destination's init in its own namespaces, tells its PID and leaves.
 *
 *   exile-shim cell --id ID --socket PATH --first-pid PID [--root PID] [--env K=V] [--orphaned]
 *                   [--shm FILE] [--clocks MONOTONIC:BOOTTIME] [--give PID:FD:NUMBER]
 *                   [--pager PATH]
 *                   [--terminal INDEX:UID:GID:MODE [--leader]] [--seat NUMBER]
 *                   -- CRIU...
 *
 * --clocks makes a time namespace in which these two clocks are by so many nanoseconds ahead of ours (or behind
 * them, where negative), so that they go on as they did at home. Where we may not set them (CAP_SYS_TIME), or the kernel has
 * none, the line that tells the init's PID ends with "noclocks".
 *
 * --give duplicates descriptor FD of process PID, for CRIU to have it as NUMBER and to --inherit-fd it. It is
 * closed everywhere else.
 *
 * --shm gives the cell a /dev/shm of its own with what is packed in FILE, see shm.c.
 *
 * --pager is the socket of the pager that gives the tree its pages: the init holds what it has, see hold.h.
 *
 * --terminal makes a pseudo terminal of that number (and owner, and mode in octal) in the cell, which is CRIU's
 * standard input and, with --seat (twice at most), its descriptor NUMBER, too. It is the controlling terminal
 * of the init, in whose session the process then is, unless with --leader the process leads a session itself.
 * The line that tells the init's PID then also tells the descriptor by which it holds the master.
 */
#include "cell.h"
#include "clocks.h"
#include "criu.h"
#include "lines.h"
#include "seat.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int parse_pid(const char *text, pid_t *pid)
{
    long number;

    if (sys_parse_number(text, 2, INT_MAX, &number) < 0)
        return -EINVAL;
    *pid = (pid_t)number;
    return 0;
}

/* An ID is one word of the socket's protocol. */
static bool is_word(const char *text)
{
    return *text && strlen(text) <= 128 && !strpbrk(text, " \t\r\n");
}

/* PID:FD:NUMBER, cut up in place. */
static int give(char *text)
{
    char *rest = NULL;
    char *words[3];
    long numbers[3];
    int fd;
    int given;

    for (int i = 0; i < 3; i++) {
        words[i] = strtok_r(i == 0 ? text : NULL, ":", &rest);
        if (!words[i] || sys_parse_number(words[i], 0, INT_MAX, &numbers[i]) < 0)
            return -EINVAL;
    }
    if (numbers[2] < CRIU_FIRST_GIVEN)
        return -EINVAL;
    fd = sys_take_fd((pid_t)numbers[0], (int)numbers[1]);
    if (fd < 0)
        return fd;
    given = dup3(fd, (int)numbers[2], 0);
    close(fd);
    return given < 0 ? -errno : 0;
}

static int take_give(char *text)
{
    char told[64];
    int error;

    snprintf(told, sizeof(told), "%s", text);
    error = give(text);
    if (error == -EINVAL)
        return usage_error("cell: --give takes PID:FD:NUMBER, NUMBER %d or above", CRIU_FIRST_GIVEN);
    if (error < 0) {
        line_say(1, "error cannot give %s: %s", told, strerror(-error));
        return EXIT_FAILED;
    }
    return 0;
}

static struct seat seat = {.master = -1, .slave = -1};

static struct clocks clocks;

static int take_option(struct cell *cell, int option, char *value)
{
    switch (option) {
    case 'i':
        cell->id = value;
        return is_word(value) ? 0 : usage_error("cell: --id takes one word");
    case 's':
        cell->socket = value;
        return talk_check_path(value) == 0 ? 0
                                           : usage_error("cell: --socket: path too long for a unix socket");
    case 'f':
        return parse_pid(value, &cell->first_pid) == 0 ? 0
                                                       : usage_error("cell: --first-pid takes a PID above 1");
    case 'r':
        return parse_pid(value, &cell->root) == 0 ? 0 : usage_error("cell: --root takes a PID above 1");
    case 'm':
        cell->shm = value;
        return 0;
    case 'p':
        cell->pager = value;
        return 0;
    case 'o':
        cell->orphaned = true;
        return 0;
    case 'e':
        /* Into our own environment: the init and CRIU, and CRIU's hook, inherit it. */
        return strchr(value, '=') && putenv(value) == 0 ? 0 : usage_error("cell: --env takes K=V");
    case 'g':
        return take_give(value);
    case 't':
        return seat_parse(value, &seat) == 0 ? (cell->seat = &seat, 0)
                                             : usage_error("cell: --terminal takes INDEX:UID:GID:MODE");
    case 'c':
        return clocks_parse(value, &clocks) == 0 ? 0 : usage_error("cell: --clocks takes MONOTONIC:BOOTTIME");
    case 'l':
        seat.leader = true;
        return 0;
    case 'n':
        return seat_also_as(value, &seat) == 0
                   ? 0
                   : usage_error("cell: --seat takes a NUMBER, %d or above, twice at most", CRIU_FIRST_GIVEN);
    default:
        return usage_error("cell: unknown option");
    }
}

static int parse(int argc, char **argv, struct cell *cell)
{
    static const struct option options[] = {
        {"id", required_argument, NULL, 'i'},        {"socket", required_argument, NULL, 's'},
        {"first-pid", required_argument, NULL, 'f'}, {"root", required_argument, NULL, 'r'},
        {"env", required_argument, NULL, 'e'},       {"give", required_argument, NULL, 'g'},
        {"terminal", required_argument, NULL, 't'},  {"leader", no_argument, NULL, 'l'},
        {"seat", required_argument, NULL, 'n'},      {"orphaned", no_argument, NULL, 'o'},
        {"clocks", required_argument, NULL, 'c'},    {"shm", required_argument, NULL, 'm'},
        {"pager", required_argument, NULL, 'p'},      {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        int code;

        if (option == '?' || option == ':')
            return usage_error("cell: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
        code = take_option(cell, option, optarg);
        if (code)
            return code;
    }
    if (!cell->id || !cell->socket || !cell->first_pid)
        return usage_error("cell: --id, --socket and --first-pid are needed");
    if (optind >= argc)
        return usage_error("cell: no CRIU command after --");
    cell->criu = argv + optind;
    return 0;
}

static void exec_init(const struct cell *cell, int report)
{
    if (setenv("EXILE_ID", cell->id, 1) < 0 || setenv("EXILE_CELL_SOCKET", cell->socket, 1) < 0)
        _exit(EXIT_FAILED);
    _exit(init_run(cell, report));
}

/* The init's word on its set-up, one line, into `line`. */
static int await_set_up(int report, char *line)
{
    struct lines in = {.fd = report};

    while (!lines_next(&in, line)) {
        if (lines_fill(&in) < 0)
            return -EPIPE;
    }
    return 0;
}

int job_cell(int argc, char **argv)
{
    struct cell cell = {0};
    char line[LINE_SIZE];
    int report[2];
    int code = parse(argc, argv, &cell);
    bool clocked;
    pid_t init;

    if (code)
        return code;
    if (pipe2(report, O_CLOEXEC) < 0) {
        line_say(1, "error pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    clocked = clocks_shift(&clocks) == 0;
    init = sys_fork_into(CLONE_NEWPID | CLONE_NEWNS);
    if (init < 0) {
        line_say(1, "error cannot make namespaces: %s", strerror(-init));
        return EXIT_FAILED;
    }
    if (init == 0)
        exec_init(&cell, report[1]);
    close(report[1]);
    if (await_set_up(report[0], line) < 0)
        strcpy(line, "error the cell's init died while it set up");
    if (strncmp(line, "ok", 2) == 0) {
        line_say(1, "cell %d%s%s", init, line + 2, clocked ? "" : " noclocks");
        return EXIT_OK;
    }
    line_say(1, "%s", line);
    waitpid(init, NULL, 0);
    return EXIT_FAILED;
}
