#include "lines.h"
#include "pager.h"
#include "serve.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_WORDS = 4 };

/* The store, if it is as long as the plan wants it; or an error. */
static int open_store(const char *path, const struct plan *plan)
{
    struct stat info;
    int error = 0;
    int store = open(path, O_RDWR | O_CLOEXEC);

    if (store < 0)
        return -errno;
    if (fstat(store, &info) < 0)
        error = -errno;
    else if (plan->area_count > 0 && (uint64_t)info.st_size < plan->areas[plan->area_count - 1].end)
        error = -ENODATA;
    if (error == 0)
        return store;
    close(store);
    return error;
}

static int announce(struct pager *pager, int vpid, const char *path, const char *plan_path)
{
    struct plan plan;
    int error = plan_read(&plan, plan_path);
    int store;

    if (error < 0)
        return error;
    store = open_store(path, &plan);
    error = store < 0 ? store : views_announce(&pager->views, vpid, store, &plan);
    if (error == 0)
        return 0;
    plan_free(&plan);
    if (store >= 0)
        close(store);
    return error;
}

static void obey_process(struct pager *pager, int client, char **words)
{
    long vpid;
    int error;

    if (sys_parse_number(words[1], 1, INT_MAX, &vpid) < 0) {
        line_say(client, "error process VPID STORE PLAN");
        return;
    }
    error = announce(pager, (int)vpid, words[2], words[3]);
    if (error < 0)
        line_say(client, "error process %ld: %s", vpid, strerror(-error));
    else
        line_say(client, "process %ld", vpid);
}

static void obey_listen(struct pager *pager, int client, char **words)
{
    int error = restorer_listen(&pager->restorer, words[1]);

    if (error < 0)
        line_say(client, "error cannot listen in %s: %s", words[1], strerror(-error));
    else
        line_say(client, "listening");
}

static struct process *process_named(struct pager *pager, int client, const char *word)
{
    struct process *process = NULL;
    long vpid;

    if (sys_parse_number(word, 1, INT_MAX, &vpid) == 0)
        process = views_find(&pager->views, (int)vpid);
    if (!process)
        line_say(client, "error no such process: %s", word);
    return process;
}

static void obey_here(struct pager *pager, int client, char **words)
{
    struct process *process = process_named(pager, client, words[1]);
    const struct area *area = NULL;
    uint64_t start;
    uint64_t end;
    uint64_t first;

    if (!process)
        return;
    if (plan_number(words[2], &start) == 0 && plan_number(words[3], &end) == 0 && start < end)
        area = plan_find(&process->plan, start, end);
    if (!area) {
        line_say(client, "error here VPID START END, within one area");
        return;
    }
    first = area->index + (start - area->start) / PAGE_SIZE;
    serve_here(&pager->views, process, first, first + (end - start) / PAGE_SIZE);
}

static void obey_follow(struct pager *pager, int client)
{
    line_say(client, "following");
    followers_add(&pager->followers, &pager->views, client);
}

static bool lacks(const struct pager *pager, const struct process *process, uint64_t index)
{
    enum page page = views_page(&pager->views, process, index);

    return page == PAGE_MISSING || page == PAGE_ASKED;
}

static void obey_missing(struct pager *pager, int client, char **words)
{
    const struct process *process = process_named(pager, client, words[1]);

    if (!process)
        return;
    for (size_t i = 0; i < process->plan.area_count; i++) {
        const struct area *area = &process->plan.areas[i];
        uint64_t start = area->start;

        while (start < area->end) {
            uint64_t index = area->index + (start - area->start) / PAGE_SIZE;
            uint64_t end = start;

            for (; end < area->end && lacks(pager, process, index); index++)
                end += PAGE_SIZE;
            if (end > start)
                line_say(client, "missing %d %" PRIx64 " %" PRIx64, process->vpid, start, end);
            start = end + PAGE_SIZE;
        }
    }
    line_say(client, "end");
}

static void obey_status(const struct pager *pager, int client)
{
    static const char *const states[] = {"expected", "served", "finished", "gone"};

    for (size_t i = 0; i < pager->views.process_count; i++) {
        const struct process *process = pager->views.processes[i];
        uint64_t counts[PAGE_KINDS];

        views_count(&pager->views, process, counts);
        line_say(client,
                 "status %d missing %" PRIu64 " here %" PRIu64 " installed %" PRIu64 " faults %" PRIu64
                 " waiting %" PRIu64 " %s",
                 process->vpid, counts[PAGE_MISSING] + counts[PAGE_ASKED], counts[PAGE_HERE],
                 counts[PAGE_DONE], process->faults, counts[PAGE_ASKED], states[process->state]);
    }
    line_say(client, "end");
}

static size_t split(char *line, char *words[MAX_WORDS])
{
    char *rest = NULL;
    size_t count = 0;

    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (count == MAX_WORDS)
            return 0;
        words[count++] = word;
    }
    return count;
}

void orders_obey(void *context, int client, char *line)
{
    struct pager *pager = context;
    char *words[MAX_WORDS] = {0};
    size_t count;

    if (!line) {
        followers_remove(&pager->followers, client);
        return;
    }
    count = split(line, words);
    if (count == 4 && strcmp(words[0], "here") == 0)
        obey_here(pager, client, words);
    else if (count == 4 && strcmp(words[0], "process") == 0)
        obey_process(pager, client, words);
    else if (count == 2 && strcmp(words[0], "listen") == 0)
        obey_listen(pager, client, words);
    else if (count == 1 && strcmp(words[0], "follow") == 0)
        obey_follow(pager, client);
    else if (count == 2 && strcmp(words[0], "missing") == 0)
        obey_missing(pager, client, words);
    else if (count == 1 && strcmp(words[0], "status") == 0)
        obey_status(pager, client);
    else if (count == 1 && strcmp(words[0], "hold") == 0)
        hold_give(&pager->hold, &pager->views, client);
    else if (count == 1 && strcmp(words[0], "pid") == 0)
        line_say(client, "pid %d %d", getpid(), pager->keeper);
    else if (count == 1 && strcmp(words[0], "quit") == 0) {
        line_say(client, "bye");
        pager->quit = true;
    } else
        line_say(client, "error no such command");
}
