/* Unit tests of what parses and formats; run under the address and undefined behaviour sanitizers. */
#include "cell.h"
#include "cgroup.h"
#include "criu.h"
#include "lines.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

int main(void)
{
    numbers_are_plain_and_in_range();
    back_is_a_pid_and_an_absolute_directory();
    frozen_is_found_on_any_line();
    wait_statuses_are_told_in_words();
    lines_come_out_as_they_went_in();
    a_line_too_long_is_dropped_not_overrun();
    small_files_are_read_and_cut();
    nobody_at_the_socket_is_waited_for_until_the_deadline();
    the_hooks_signals_differ();
    printf("unit tests: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
