/*
 * Job `hook`: CRIU's action script, run by CRIU inside the cell, once per action.
 *
 * CRIU takes the end of a pre-resume script, whatever its exit code, as leave to resume; a killed hook as
 * well. So CRIU is stopped first: SIGSTOP is pending on it before this function goes on, and a process with a
 * pending SIGSTOP runs no instruction of its own until SIGCONT. Only the answer `resume` brings that.
 */
#include "cell.h"
#include "sys.h"
#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_MS = 100,
    RESUMED_TIMEOUT_MS = 5000,
};

/* Expects all tasks restored and in CRIU's ptrace stop; leaves them to CRIU on resume, to the init's SIGKILL
 * on abort. */
static int pre_resume(const char *path, const char *id)
{
    struct talk talk;
    pid_t criu = getppid();

    if (kill(criu, SIGSTOP) < 0 || kill(1, SIGNAL_REACHED) < 0)
        goto stuck;
    talk_begin(&talk, path, RETRY_MS, "pre-resume %s", id);
    for (;;) {
        if (talk_wait(&talk, 0) < 0)
            continue;
        if (strcmp(talk.answer, "resume") == 0) {
            /* The init first: the restored process, once it runs, may itself send signals to PID 1. */
            if (kill(1, SIGNAL_RELEASED) < 0 || kill(criu, SIGCONT) < 0)
                goto stuck;
            return EXIT_OK;
        }
        if (strcmp(talk.answer, "abort") == 0)
            break;
        talk_again(&talk);
    }
stuck:
    kill(1, SIGNAL_ABORT);
    /* The init kills us. To return instead would resume. */
    for (;;)
        pause();
}

static int post_resume(const char *path, const char *id)
{
    uint64_t deadline = sys_now() + (uint64_t)RESUMED_TIMEOUT_MS * 1000;
    struct talk talk;

    /* If this fails, the init takes a later failure of CRIU for a failed restore, which it cannot be told
     * from. */
    if (kill(1, SIGNAL_RESUMED) < 0)
        return EXIT_OK;
    talk_begin(&talk, path, RETRY_MS, "resumed %s", id);
    while (talk_wait(&talk, deadline) == 0 && strcmp(talk.answer, "ok") != 0)
        talk_again(&talk);
    return EXIT_OK;
}

int job_hook(int argc, char **argv)
{
    const char *action = getenv("CRTOOLS_SCRIPT_ACTION");
    const char *path = getenv("EXILE_CELL_SOCKET");
    const char *id = getenv("EXILE_ID");

    (void)argv;
    if (argc != 1)
        return usage_error("hook: takes no argument");
    if (!action || !path || !id)
        return usage_error("hook: CRTOOLS_SCRIPT_ACTION, EXILE_CELL_SOCKET and EXILE_ID must be set");
    if (strcmp(action, "pre-resume") == 0)
        return pre_resume(path, id);
    if (strcmp(action, "post-resume") == 0)
        return post_resume(path, id);
    return EXIT_OK;
}
