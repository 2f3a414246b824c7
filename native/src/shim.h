/*
 * What every file of the shim shares.
 *
 * Layers, and a file may only call downwards:
 *   procedure   freeze.c guard.c cell.c init.c hook.c rehearse.c deputize.c body.c deputy.c watch.c post.c
 *               members.c injection.c detour.c settle.c pump.c stream.c terminal.c terminal_home.c
 *               terminal_there.c seat.c shm.c park.c waits.c track.c memory.c pager.c orders.c followers.c
 *               restorer.c events.c serve.c ahead.c install.c views.c areas.c fill.c stand.c
 *   readers     cgroup.c lines.c talk.c criu.c proc.c maps.c siginfo.c stub.c server.c resident.c keeper.c
 *               frames.c clocks.c stub_wait.c stub_track.c veil.c plan.c softdirty.c
 *   raw calls   sys.c trace.c wire.c uffd.c
 *
 * Errors inside the shim are negative errno values; the compiler rejects an unread result (must_use).
 * What another process did (an exit status, say) never travels in the same value as our own error.
 */
#ifndef EXILE_SHIM_H
#define EXILE_SHIM_H

#define must_use __attribute__((warn_unused_result))

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

int job_freeze(int argc, char **argv);
int job_cell(int argc, char **argv);
int job_hook(int argc, char **argv);
int job_rehearse(int argc, char **argv);
int job_deputize(int argc, char **argv);
int job_deputy(char **argv);
int job_watch(int argc, char **argv);
int job_post(int argc, char **argv);
int job_settle(int argc, char **argv);
int job_pump(int argc, char **argv);
int job_park(int argc, char **argv);
int job_pager(int argc, char **argv);
int job_fill(int argc, char **argv);
int job_track(int argc, char **argv);

/* Prints one line to stderr; returns EXIT_USAGE so that callers can `return usage_error(...)`. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
