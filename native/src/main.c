/* The multi-call entry: picks the job. A new job is a file, a line in shim.h and a line in the table. */
#include "deputy.h"
#include "shim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS                                                                                                   \
    "jobs: freeze, cell, hook, rehearse, deputize, watch, post, settle, pump, park, pager, fill, track"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} jobs[] = {
    {"freeze", job_freeze},     {"cell", job_cell},         {"hook", job_hook},
    {"rehearse", job_rehearse}, {"deputize", job_deputize}, {"watch", job_watch},
    {"post", job_post},         {"settle", job_settle},     {"pump", job_pump},
    {"park", job_park},         {"pager", job_pager},       {"fill", job_fill},
    {"track", job_track},
};

int main(int argc, char **argv)
{
    /* Its argv[0] is what ps shows. Before the next line: to set a disposition may drop a pending signal. */
    if (getenv(DEPUTY_ENV_ID))
        return job_deputy(argv);

    /* An ignored SIGCHLD is inherited through exec, and with it children vanish before they are waited for.
     */
    signal(SIGCHLD, SIG_DFL);

    /*
     * CRIU runs its action script by execvp(path, {path}): no shell and no room for an argument. So the bare
     * program is the hook when CRIU says, by its variable, that it is the caller.
     */
    if (argc == 1 && getenv("CRTOOLS_SCRIPT_ACTION"))
        return job_hook(argc, argv);
    if (argc < 2)
        return usage_error("usage: exile-shim JOB ... (" JOBS ")");

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        if (strcmp(argv[1], jobs[i].name) == 0)
            return jobs[i].run(argc - 1, argv + 1);
    }
    return usage_error("no job '%s' (" JOBS ")", argv[1]);
}
