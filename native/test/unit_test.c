/* Unit tests of what parses and formats; run under the address and undefined behaviour sanitizers. */
#include "cell.h"
#include "cgroup.h"
#include "clocks.h"
#include "criu.h"
#include "lines.h"
#include "proc.h"
#include "siginfo.h"
#include "stub.h"
#include "sys.h"
#include "talk.h"
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static void numbers_are_plain_and_in_range(void)
{
    long number = -1;

    CHECK(sys_parse_number("0", 0, 9, &number) == 0 && number == 0);
    CHECK(sys_parse_number("4194304", 1, 4194304, &number) == 0 && number == 4194304);
    CHECK(sys_parse_number("10", 0, 9, &number) == -EINVAL);
    CHECK(sys_parse_number("", 0, 9, &number) == -EINVAL);
    CHECK(sys_parse_number(" 1", 0, 9, &number) == -EINVAL);
    CHECK(sys_parse_number("+1", 0, 9, &number) == -EINVAL);
    CHECK(sys_parse_number("-1", -5, 9, &number) == -EINVAL);
    CHECK(sys_parse_number("1x", 0, 9, &number) == -EINVAL);
    CHECK(sys_parse_number("99999999999999999999", 0, 9, &number) == -EINVAL);
}

static void back_is_a_pid_and_an_absolute_directory(void)
{
    struct back back;

    CHECK(back_parse("17=/sys/fs/cgroup/a=b", &back) == 0);
    CHECK(back.pid == 17 && strcmp(back.cgroup, "/sys/fs/cgroup/a=b") == 0);
    CHECK(back_parse("17", &back) == -EINVAL);
    CHECK(back_parse("17=", &back) == -EINVAL);
    CHECK(back_parse("17=a", &back) == -EINVAL);
    CHECK(back_parse("=/a", &back) == -EINVAL);
    CHECK(back_parse("0=/a", &back) == -EINVAL);
    CHECK(back_parse("11111111111111111111111=/a", &back) == -EINVAL);
}

static void frozen_is_found_on_any_line(void)
{
    CHECK(cgroup_parse_frozen("populated 1\nfrozen 0\n") == 0);
    CHECK(cgroup_parse_frozen("frozen 1\npopulated 1\n") == 1);
    CHECK(cgroup_parse_frozen("populated 1\n") == -EINVAL);
    CHECK(cgroup_parse_frozen("unfrozen 1\n") == -EINVAL);
    CHECK(cgroup_parse_frozen("frozen ") == -EINVAL);
    CHECK(cgroup_parse_frozen("") == -EINVAL);
}

static void wait_statuses_are_told_in_words(void)
{
    char text[32];

    criu_describe(0x0300, text, sizeof(text));
    CHECK(strcmp(text, "exit 3") == 0);
    criu_describe(SIGKILL, text, sizeof(text));
    CHECK(strcmp(text, "signal 9") == 0);
    criu_describe(SIGSEGV | 0x80, text, sizeof(text));
    CHECK(strcmp(text, "signal 11") == 0);
}

static void lines_come_out_as_they_went_in(void)
{
    char line[LINE_SIZE];
    int ends[2];
    struct lines lines = {0};

    CHECK(pipe(ends) == 0);
    lines.fd = ends[0];
    CHECK(sys_write_all(ends[1], "one\n\nthr", 8) == 0);
    CHECK(lines_fill(&lines) == 0);
    CHECK(lines_next(&lines, line) && strcmp(line, "one") == 0);
    CHECK(lines_next(&lines, line) && strcmp(line, "") == 0);
    CHECK(!lines_next(&lines, line));
    line_say(ends[1], "ee %d", 3);
    CHECK(lines_fill(&lines) == 0);
    CHECK(lines_next(&lines, line) && strcmp(line, "three 3") == 0);
    close(ends[1]);
    CHECK(lines_fill(&lines) == -EPIPE);
    close(ends[0]);
}

static void a_line_too_long_is_dropped_not_overrun(void)
{
    char line[LINE_SIZE];
    char flood[LINE_SIZE * 2];
    int ends[2];
    struct lines lines = {0};

    memset(flood, 'x', sizeof(flood));
    CHECK(pipe(ends) == 0);
    lines.fd = ends[0];
    CHECK(sys_write_all(ends[1], flood, sizeof(flood)) == 0);
    CHECK(lines_fill(&lines) == 0 && !lines_next(&lines, line));
    CHECK(lines_fill(&lines) == -E2BIG);
    CHECK(lines_fill(&lines) == 0 && !lines_next(&lines, line));
    CHECK(lines_fill(&lines) == -E2BIG);
    flood[sizeof(flood) - 1] = 0;
    line_say(ends[1], "%s", flood);
    CHECK(lines_fill(&lines) == 0);
    CHECK(lines_next(&lines, line) && strlen(line) == LINE_SIZE - 2);
    close(ends[0]);
    close(ends[1]);
}

static void small_files_are_read_and_cut(void)
{
    char text[8];

    CHECK(sys_read_at(AT_FDCWD, "/proc/self/statm-is-not-there", text, sizeof(text)) == -ENOENT);
    CHECK(sys_read_at(AT_FDCWD, "/proc/self/status", text, sizeof(text)) == 7);
    CHECK(strlen(text) == 7);
}

static void nobody_at_the_socket_is_waited_for_until_the_deadline(void)
{
    char path[200];
    struct talk talk;
    uint64_t start = sys_now();

    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    CHECK(talk_check_path(path) == -ENAMETOOLONG);
    CHECK(talk_check_path("/run/exile/cell") == 0);
    talk_begin(&talk, "/nowhere/at/all", 5, "question");
    CHECK(talk_timeout_ms(&talk) == 0);
    CHECK(talk_wait(&talk, start + 30000) == -ETIMEDOUT);
    CHECK(sys_now() >= start + 30000);
    CHECK(talk_timeout_ms(&talk) <= 5);
}

static void the_hooks_signals_differ(void)
{
    CHECK(SIGNAL_RESUMED != SIGNAL_ABORT && SIGNAL_ABORT < SIGRTMAX);
}

static void siginfo_goes_through_text(void)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    siginfo_t back;
    char text[SIGINFO_TEXT];

    info.si_pid = 4711;
    info.si_value.sival_ptr = &info;
    siginfo_print(&info, text);
    CHECK(strlen(text) == 96 && strncmp(text, "0a000000", 8) == 0);
    CHECK(siginfo_parse(text, &back) == 0 && memcmp(&info, &back, SIGINFO_BYTES) == 0);
    CHECK(siginfo_parse(text + 2, &back) == -EINVAL);
    text[5] = 'x';
    CHECK(siginfo_parse(text, &back) == -EINVAL);
    info.si_signo = 65;
    siginfo_print(&info, text);
    CHECK(siginfo_parse(text, &back) == -EINVAL);
}

static bool is_own(int number, int code)
{
    siginfo_t info = {.si_signo = number, .si_code = code};

    return siginfo_is_own(&info, 1);
}

static void what_a_process_brings_upon_itself_is_its_own(void)
{
    CHECK(is_own(SIGALRM, SI_KERNEL) && !is_own(SIGALRM, SI_USER));
    CHECK(is_own(SIGCHLD, CLD_EXITED) && !is_own(SIGCHLD, SI_USER) && !is_own(SIGCHLD, SI_QUEUE));
    CHECK(is_own(SIGUSR1, SI_TIMER) && is_own(SIGRTMIN, SI_MESGQ));
    CHECK(is_own(SIGSEGV, SEGV_MAPERR) && is_own(SIGSEGV, SI_KERNEL));
    CHECK(is_own(SIGIO, POLL_IN) && is_own(SIGURG, SI_KERNEL));
    /* From a terminal. */
    CHECK(!is_own(SIGINT, SI_KERNEL) && !is_own(SIGWINCH, SI_KERNEL) && !is_own(SIGHUP, SI_KERNEL));
}

static void what_a_process_raises_is_its_own(void)
{
    static const int codes[] = {SI_USER, SI_QUEUE, SI_TKILL};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        siginfo_t info = {.si_signo = SIGABRT, .si_code = codes[i]};

        info.si_pid = 7;
        CHECK(siginfo_is_own(&info, 7) && !siginfo_is_own(&info, 8));
    }
}

static void a_status_file_is_read(void)
{
    struct proc_status status;

    CHECK(proc_parse_status(
              "Name:\tx\nState:\tS (sleeping)\nNSpid:\t930\t2\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
              "SigQ:\t8/96365\nSigPnd:\t0000000000000200\nShdPnd:\t8000000000000000\nSeccomp:\t2\n",
              &status) == 0);
    CHECK(status.state == 'S' && status.inner == 2 && status.uid == 2 && status.gid == 6 && status.filtered);
    CHECK(status.pending == 0x200 && status.shared == 1ULL << 63 && status.queued == 8 &&
          status.limit == 96365);
    CHECK(proc_parse_status("State:\tS\n", &status) == -EINVAL);
    CHECK(proc_status(getpid(), getpid(), &status) == 0 && status.inner == getpid() && !status.filtered);
}

static void a_stub_is_built_for_where_the_thread_was(void)
{
    const siginfo_t info = {.si_signo = SIGUSR1};
    const struct inject_order order = {.head = {INJECT_MAGIC, 5, 6, 0}, .pid = 2, .info = &info};
    struct user_regs_struct regs = {.rip = 0x1000, .orig_rax = SYS_read, .rax = (uint64_t)-512};
    struct inject inject;
    int error;

    inject_build(&inject, 0x7000, &order, &regs);
    CHECK(memcmp(inject.bytes, &order.head, sizeof(order.head)) == 0);
    CHECK(inject_place(0x7000, &regs, &error) == INJECT_OUTSIDE);
    inject_enter(&inject, &regs);
    CHECK(inject_place(0x7000, &regs, &error) == INJECT_BEFORE && (long)regs.orig_rax == -1);
    regs = (struct user_regs_struct){.orig_rax = SYS_epoll_wait, .rax = (uint64_t)-EINTR, .r10 = 0xffffffff};
    regs_undo_interrupt(&regs);
    CHECK((long)regs.rax == -514);
    regs = (struct user_regs_struct){.orig_rax = SYS_epoll_wait, .rax = (uint64_t)-EINTR, .r10 = 100};
    regs_undo_interrupt(&regs);
    CHECK((long)regs.rax == -EINTR);
}

static void what_a_body_is_to_execute_must_fit(void)
{
    static struct become become;
    static char big[BECOME_SIZE];
    const char *const argv[] = {"exile: x @y", NULL};
    const char *const much[] = {big, NULL};

    CHECK(become_build(&become, 0x7000, "/bin/x", argv, argv) == 0);
    CHECK(become.used % 8 == 0 && become.path > 0x7000 && become.envp > become.argv);
    CHECK(strcmp((char *)become.bytes + (become.path - 0x7000), "/bin/x") == 0);
    memset(big, 'b', sizeof(big) - 1);
    CHECK(become_build(&become, 0x7000, "/bin/x", much, argv) == -E2BIG);
}

static void waits_and_clocks_are_plain_numbers(void)
{
    struct wait_left wait;
    struct clocks clocks = {0};

    CHECK(waits_parse("12:230:5000000000", &wait) == 0);
    CHECK(wait.tid == 12 && wait.number == 230 && wait.left == 5000000000);
    CHECK(waits_parse("0:230:1", &wait) == -EINVAL && waits_parse("12:230", &wait) == -EINVAL);
    CHECK(waits_parse("12:230:1x", &wait) == -EINVAL && waits_parse("", &wait) == -EINVAL);
    CHECK(clocks_parse("-86400000000001:7", &clocks) == 0 && clocks.given);
    CHECK(clocks.monotonic == -86400000000001 && clocks.boottime == 7);
    CHECK(clocks_parse("1", &clocks) == -EINVAL && clocks_parse("1:", &clocks) == -EINVAL);
    CHECK(clocks_parse("1:2:3", &clocks) == -EINVAL && !clocks.given);
}

static void an_interrupted_wait_is_made_once_more_with_what_is_left(void)
{
    struct user_regs_struct regs = {.rip = 0x1002, .rax = (uint64_t)-EINTR, .rdi = 1, .rdx = 2, .r10 = 3};
    struct user_regs_struct calling = regs;

    CHECK(wait_failed(&regs, 0x050f) && !wait_failed(&regs, 0x9090));
    wait_call(&calling, SYS_clock_nanosleep, 7, 0x2000);
    CHECK(calling.rip == 0x1000 && calling.rax == SYS_clock_nanosleep && (long)calling.orig_rax == -1);
    CHECK(calling.rdi == 1 && calling.rdx == 0x2000 && calling.r10 == 3);
    calling.rax = (uint64_t)-516;
    wait_result(&regs, &calling, SYS_clock_nanosleep);
    CHECK((long)regs.rax == -516 && regs.orig_rax == SYS_clock_nanosleep && regs.rip == 0x1002);
    CHECK(regs.rdx == 2);
    calling = (struct user_regs_struct){.rip = 2};
    wait_call(&calling, SYS_poll, 1000001, 0x2000);
    CHECK(calling.rdx == 2); /* milliseconds, never too few */
    regs = (struct user_regs_struct){.rax = (uint64_t)-514, .rdx = 5, .r8 = 6};
    CHECK(wait_shortened(&regs, SYS_select) == 6 && wait_shortened(&regs, SYS_ppoll) == 5);
    CHECK(wait_shortened(&regs, SYS_poll) == 0);
}

int main(void)
{
    waits_and_clocks_are_plain_numbers();
    an_interrupted_wait_is_made_once_more_with_what_is_left();
    numbers_are_plain_and_in_range();
    back_is_a_pid_and_an_absolute_directory();
    frozen_is_found_on_any_line();
    wait_statuses_are_told_in_words();
    lines_come_out_as_they_went_in();
    a_line_too_long_is_dropped_not_overrun();
    small_files_are_read_and_cut();
    nobody_at_the_socket_is_waited_for_until_the_deadline();
    the_hooks_signals_differ();
    siginfo_goes_through_text();
    what_a_process_brings_upon_itself_is_its_own();
    what_a_process_raises_is_its_own();
    a_status_file_is_read();
    a_stub_is_built_for_where_the_thread_was();
    what_a_body_is_to_execute_must_fit();
    printf("unit tests: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
