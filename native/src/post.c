/*
 * Job `post`: brings signals into the processes of a cell. Stays outside of it, so that nothing inside sees
 * or kills it.
 *
 *   exile-shim post --id ID --cell PID [--record FILE]        PID: the cell's init, as the host counts
 *
 * Lines on stdin, one answer each on stdout:
 *   deliver SEQ PID TID SIGINFO   PID and TID as the cell counts; TID 0: to the process; SEQ rises per
 *                                 PID, by itself for SIGSTOP, and is of no meaning for SIGKILL
 *                                 delivered SEQ [unrecorded] | gone SEQ | later SEQ TEXT (not delivered; ask
 *                                 again)
 *   watch PID                     watching PID | gone PID; and at its end, at any time: ended PID
 *
 * The end of stdin ends it. A thread that sleeps where no signal reaches it (a dead disk) keeps post waiting:
 * who gets no answer within seconds kills it and starts another. What FILE tells as delivered (record.h) is
 * answered at once; should post be killed between a delivery and its record, one that is started within a
 * second with the same --id still knows (injection.h).
 */
#include "post.h"
#include "injection.h"
#include "lines.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    LOOKS = 10,
    STOPS = 1 << 30, /* no PID reaches it */
};

/* FNV-1a: two migrations of one process must not take each other's numbers for theirs. */
static uint64_t hash(const char *text)
{
    uint64_t value = 0xcbf29ce484222325ULL;

    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * 0x100000001b3ULL;
    return value;
}

static int parse(int argc, char **argv, struct post *post)
{
    static const struct option options[] = {
        {"id", required_argument, NULL, 'i'},
        {"cell", required_argument, NULL, 'p'},
        {"record", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    const char *record = NULL;
    long init = 0;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option == 'i')
            post->owner = hash(optarg);
        else if (option == 'r')
            record = optarg;
        else if (option != 'p')
            return usage_error("post: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
        else if (sys_parse_number(optarg, 1, INT_MAX, &init) < 0)
            return usage_error("post: --cell takes a PID");
    }
    if (!post->owner || !init || optind < argc)
        return usage_error("post: --id and --cell are needed");
    post->init = (pid_t)init;
    option = records_open(&post->records, record);
    return option < 0 ? usage_error("post: --record %s: %s", record, strerror(-option)) : 0;
}

/* Whose siginfo nobody ever sees. */
static bool is_plain(const siginfo_t *info)
{
    return info->si_signo == SIGKILL || info->si_signo == SIGSTOP;
}

/*
 * Whose record tells of it. No deputy takes a SIGSTOP, so these are numbered apart; one that came again after
 * a SIGCONT would stop the process for good. (Should we be killed between the two that are one step for other
 * signals, to send it and to record it, it does.) A SIGKILL may come again.
 */
static pid_t record_of(pid_t pid, const siginfo_t *info)
{
    return info->si_signo == SIGSTOP ? pid | STOPS : pid;
}

/* Alive in the cell, by its own /proc, which knows no more than this. */
static bool lives(const struct post *post, pid_t inner)
{
    char path[64];
    char text[512];
    const char *state;

    snprintf(path, sizeof(path), "/proc/%d/root/proc/%d/stat", post->init, inner);
    if (sys_read_at(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return false;
    state = strrchr(text, ')');
    return state && state[1] == ' ' && state[2] != 'Z' && state[2] != 'X';
}

/* One whose parent ends while we walk the tree may be missed: nobody is gone on the first look. */
static struct member *find(struct post *post, pid_t inner)
{
    struct member *member = members_find(post, inner);

    for (int look = 1; !member && look < LOOKS && lives(post, inner); look++) {
        sys_sleep_ms(1);
        member = members_find(post, inner);
    }
    return member;
}

static int deliver(struct post *post, uint64_t sequence, pid_t pid, pid_t tid, const siginfo_t *info)
{
    struct injection injection = {
        .order = {.head = {.owner = post->owner, .number = sequence}, .pid = pid, .tid = tid, .info = info},
    };
    struct member *member;
    int error;

    if (info->si_signo != SIGKILL && records_have(&post->records, record_of(pid, info), sequence))
        return 0;
    member = find(post, pid);
    if (!member)
        return lives(post, pid) ? -EAGAIN : -ESRCH;
    if (is_plain(info))
        return sys_pidfd_signal(member->pidfd, info->si_signo);
    injection.pid = member->pid;
    injection.thread = member_thread(member, &injection.order.tid);
    injection.base = member->base;
    error = injection.thread < 0 ? injection.thread : injection_run(&injection);
    member->base = injection.base;
    /* The thread that was to take it for its process has ended just now, or another one has executed. */
    if (error == -ESRCH && tid == 0 && members_find(post, pid))
        return -EAGAIN;
    return error;
}

/* SEQ PID TID SIGINFO, cut up in place. */
static int parse_order(char *text, long *sequence, long *pid, long *tid, siginfo_t *info)
{
    char *rest = NULL;
    char *words[4];

    for (int i = 0; i < 4; i++) {
        words[i] = strtok_r(i == 0 ? text : NULL, " ", &rest);
        if (!words[i])
            return -EINVAL;
    }
    if (sys_parse_number(words[0], 1, LONG_MAX, sequence) < 0 ||
        sys_parse_number(words[1], 1, INT_MAX, pid) < 0 || sys_parse_number(words[2], 0, INT_MAX, tid) < 0)
        return -EINVAL;
    return siginfo_parse(words[3], info);
}

static void do_deliver(struct post *post, char *text)
{
    siginfo_t info;
    long sequence;
    long pid;
    long tid;
    int error = parse_order(text, &sequence, &pid, &tid, &info);

    if (error < 0) {
        line_say(1, "error deliver takes SEQ PID TID SIGINFO");
        return;
    }
    error = deliver(post, (uint64_t)sequence, (pid_t)pid, (pid_t)tid, &info);
    if (error == 0 && info.si_signo != SIGKILL &&
        records_set(&post->records, record_of((pid_t)pid, &info), (uint64_t)sequence) < 0)
        line_say(1, "delivered %ld unrecorded", sequence);
    else if (error == 0)
        line_say(1, "delivered %ld", sequence);
    else if (error == -ESRCH)
        line_say(1, "gone %ld", sequence);
    else
        line_say(1, "later %ld %s", sequence, strerror(-error));
}

static void do_watch(struct post *post, const char *text)
{
    long pid;
    struct member *member;

    if (sys_parse_number(text, 1, INT_MAX, &pid) < 0) {
        line_say(1, "error watch takes a PID");
        return;
    }
    member = find(post, (pid_t)pid);
    if (member)
        member->watched = true;
    line_say(1, "%s %ld", member ? "watching" : "gone", pid);
}

static void obey(struct post *post, char *line)
{
    if (strncmp(line, "deliver ", 8) == 0) {
        do_deliver(post, line + 8);
    } else if (strncmp(line, "watch ", 6) == 0) {
        do_watch(post, line + 6);
    } else {
        line_say(1, "error unknown command");
    }
}

int job_post(int argc, char **argv)
{
    static struct post post;
    struct lines in = {.fd = 0};
    char line[LINE_SIZE];
    int code = parse(argc, argv, &post);

    if (code)
        return code;
    signal(SIGPIPE, SIG_IGN);
    /* A thread is given a few microseconds in the stub; the default would round them up to sixty. */
    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        int error = members_wait(&post, in.fd);

        if (error == 0)
            error = lines_fill(&in);
        if (error == -E2BIG)
            line_say(1, "error line too long");
        while (lines_next(&in, line))
            obey(&post, line);
        if (error == -EPIPE)
            break;
    }
    members_wipe(&post);
    return EXIT_OK;
}
