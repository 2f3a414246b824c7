#include "proc.h"
#include "sys.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pids_add(struct pids *pids, pid_t pid)
{
    if (pids->count == pids->room) {
        size_t room = pids->room ? 2 * pids->room : 16;
        pid_t *list = realloc(pids->list, room * sizeof(*list));

        if (!list)
            return -ENOMEM;
        pids->list = list;
        pids->room = room;
    }
    pids->list[pids->count++] = pid;
    return 0;
}

void pids_free(struct pids *pids)
{
    free(pids->list);
    *pids = (struct pids){0};
}

/* The numbers among the names in a directory of /proc. */
static int numbers_in(const char *path, struct pids *numbers)
{
    struct dirent *entry;
    int error = 0;
    DIR *dir = opendir(path);

    if (!dir)
        return -errno;
    while (error == 0 && (entry = readdir(dir))) {
        if (isdigit((unsigned char)entry->d_name[0]))
            error = pids_add(numbers, (pid_t)strtol(entry->d_name, NULL, 10));
    }
    closedir(dir);
    return error;
}

int proc_threads(pid_t pid, struct pids *threads)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    return numbers_in(path, threads);
}

static int children_of_thread(pid_t pid, pid_t tid, struct pids *children)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;
    int error = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
    file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    while (error == 0 && getdelim(&line, &room, ' ', file) > 0)
        error = pids_add(children, (pid_t)strtol(line, NULL, 10));
    free(line);
    fclose(file);
    return error;
}

int proc_children(pid_t pid, struct pids *children)
{
    struct pids threads = {0};
    int error = proc_threads(pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count; i++)
        error = children_of_thread(pid, threads.list[i], children);
    pids_free(&threads);
    return error;
}

/* What follows "\nNAME:" and blanks, or NULL. */
static const char *field(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

static long nth_number(const char *text, int n)
{
    char *end;
    long number = strtol(text, &end, 10);

    while (n-- > 0)
        number = strtol(end, &end, 10);
    return number;
}

static long last_number(const char *text)
{
    long number = 0;

    while (*text && *text != '\n') {
        char *end;
        long next = strtol(text, &end, 10);

        if (end == text)
            break;
        number = next;
        text = end + strspn(end, " \t");
    }
    return number;
}

int proc_parse_status(const char *text, struct proc_status *status)
{
    const char *state = field(text, "State");
    const char *uid = field(text, "Uid");
    const char *gid = field(text, "Gid");
    const char *inner = field(text, "NSpid");
    const char *seccomp = field(text, "Seccomp");
    const char *pending = field(text, "SigPnd");
    const char *shared = field(text, "ShdPnd");
    const char *queue = field(text, "SigQ");
    const char *slash = queue ? strchr(queue, '/') : NULL;

    if (!state || !uid || !gid || !inner || !pending || !shared || !slash)
        return -EINVAL;
    status->state = *state;
    status->uid = nth_number(uid, 1);
    status->gid = nth_number(gid, 1);
    status->inner = (pid_t)last_number(inner);
    /* A kernel without seccomp has no such line. */
    status->filtered = seccomp && *seccomp != '0';
    status->pending = strtoull(pending, NULL, 16);
    status->shared = strtoull(shared, NULL, 16);
    status->queued = strtol(queue, NULL, 10);
    status->limit = strtol(slash + 1, NULL, 10);
    return 0;
}

int proc_status(pid_t pid, pid_t tid, struct proc_status *status)
{
    char path[64];
    char text[8192];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
    n = sys_read_at(AT_FDCWD, path, text, sizeof(text));
    return n < 0 ? (int)n : proc_parse_status(text, status);
}

int proc_call(pid_t pid, pid_t tid, struct proc_call *call)
{
    char path[64];
    char text[256];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
    n = sys_read_at(AT_FDCWD, path, text, sizeof(text));
    if (n < 0)
        return (int)n;
    memset(call, 0, sizeof(*call));
    call->number = -1;
    /* "running", or the number -1 with only two words behind. */
    call->blocked = sscanf(text, "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
                                 " %*x %" SCNx64,
                           &call->number, &call->arguments[0], &call->arguments[1], &call->arguments[2],
                           &call->arguments[3], &call->arguments[4], &call->arguments[5], &call->ip) == 8;
    return 0;
}

int proc_exit_signal(pid_t pid)
{
    char path[64];
    char text[1024];
    const char *rest;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    n = sys_read_at(AT_FDCWD, path, text, sizeof(text));
    if (n < 0)
        return (int)n;
    /* The 38th word, and the name, which may hold anything, is the second. */
    rest = strrchr(text, ')');
    for (int word = 2; rest && word < 38; word++)
        rest = strchr(rest + 1, ' ');
    return rest ? atoi(rest + 1) : -EINVAL;
}

int proc_name(pid_t pid, char name[16])
{
    char path[64];
    char text[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    n = sys_read_at(AT_FDCWD, path, text, sizeof(text));
    if (n < 0)
        return (int)n;
    text[strcspn(text, "\n")] = 0;
    snprintf(name, 16, "%.15s", text);
    return 0;
}
