/*
 * What the pager remembers. A *view* is one userfaultfd: the memory of a restored process, or of a child that
 * it has forked since. Views of one *process* share its store. A worker may be killed at any point, see
 * keeper.h: each change is one store into memory, or may be done again from its start, and memory is never
 * malloc's.
 */
#ifndef EXILE_VIEWS_H
#define EXILE_VIEWS_H

#include "areas.h"
#include "plan.h"
#include "shim.h"
#include "uffd.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MAX_PROCESSES = 1024,
    MAX_VIEWS = 4096,
    INBOX = 16,
    LATER = 32,
    ERROR_SIZE = 96,
    WANTS = 4096,
};

/* Of a page, one byte each. It only ever gets a greater value but for the step from missing to here. */
enum page {
    PAGE_HERE,    /* in the store, where nothing at all is zeros, and not in the view yet */
    PAGE_MISSING, /* not in the store yet */
    PAGE_ASKED,   /* neither, and a thread waits for it */
    PAGE_DONE,    /* in the view, or unmapped; where the view has nothing, that is zeros */
    PAGE_KINDS,
};

enum state {
    STATE_EXPECTED, /* its restorer has not sent its userfaultfd yet */
    STATE_SERVED,
    STATE_FINISHED,
    STATE_GONE,
};

struct view;

struct process {
    int vpid;
    int store;
    struct plan plan;
    struct view *root;  /* until it is in the table of views */
    enum state last;    /* what it is once it has no view any more */
    enum state state;
    uint64_t faults; /* that were served */
    unsigned int errors;
    char error[ERROR_SIZE]; /* the last one */
};

struct view {
    struct process *process; /* NULL: of nobody that was announced, all is zeros */
    int fd;                  /* -1: not here yet */
    bool child;              /* which need not have all mappings of its parent */
    struct areas *areas;
    unsigned char *pages;    /* enum page */
    uint64_t count;          /* of pages */
    uint64_t next;           /* no page before it is here and not done */
    uint64_t lacking;        /* no page before it is missing */
    uint64_t retry_at;       /* for `later` and for what follows from `next` */
    uint64_t later[LATER];   /* addresses at which threads wait; 0: free */
    struct uffd_msg inbox[INBOX]; /* read and not done with; event 0: free */
};

/* Somebody waits for a page that is missing. */
struct want {
    struct process *process;
    uint64_t index;
};

struct views {
    struct process *processes[MAX_PROCESSES];
    size_t process_count;
    struct view *views[MAX_VIEWS]; /* NULL: free */
    size_t view_count;             /* no view is at or after it */
    int closing;                   /* a descriptor that belongs to nobody any more, or -1 */
    bool resumed;                  /* CRIU has restored all */
    uint64_t changes;              /* in `views`; it only ever grows */
    struct want wants[WANTS];      /* the last ones, N at N % WANTS */
    uint64_t want_count;
};

/* NULL: no such process. */
struct process *views_find(const struct views *views, int vpid);

/*
 * Announces a process. Where it was announced already and has not come, this is instead of it. -EEXIST: it
 * has come. Takes over the store's descriptor and the plan if it succeeds.
 */
must_use int views_announce(struct views *views, int vpid, int store, const struct plan *plan);

/* Its userfaultfd has come. Said twice of one descriptor is once. -EEXIST: it had another one. */
must_use int views_arrived(struct views *views, int vpid, int fd);

/* A child of the view has been forked, and this is its userfaultfd. */
must_use int views_forked(struct views *views, const struct view *parent, int fd);

/* Drops the view, whose process ends in this state if that was its last one. */
void views_close(struct views *views, size_t slot, enum state state);

/* The next view of the process from `*at` on, or NULL; `*at` begins as 0. */
struct view *views_next(const struct views *views, const struct process *process, size_t *at);

/* What is true of a page in all views of its process. Missing: at least one of them still needs it. */
enum page views_page(const struct views *views, const struct process *process, uint64_t index);

/* How many pages of the process there are of each kind. */
void views_count(const struct views *views, const struct process *process, uint64_t counts[PAGE_KINDS]);

void views_want(struct views *views, struct process *process, uint64_t index);

/* After a worker was killed: what it had begun to close is closed. */
void views_recover(struct views *views);

#endif
