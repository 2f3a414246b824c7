#include "resident.h"
#include "keeper.h"
#include "lines.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *parse(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    const char *path = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option != 's')
            return NULL;
        path = optarg;
    }
    return optind == argc ? path : NULL;
}

static const char *socket_path;
static resident_serve *serve_job;

static int serve_to_the_end(struct server *server)
{
    int code = serve_job(server);

    if (!server->alone)
        unlink(socket_path);
    return code;
}

/* In the process that stays; its word on how it began goes to `report`. */
static int stay(const char *name, const char *path, int report, resident_serve *serve, bool kept)
{
    static struct server server;
    static char title[16];
    int error = server_open(&server, path);

    if (error < 0) {
        line_say(report, "error cannot listen at %s: %s", path, strerror(-error));
        return EXIT_FAILED;
    }
    snprintf(title, sizeof(title), "exile-%s", name);
    prctl(PR_SET_NAME, title);
    line_say(report, "%s %d", name, getpid());
    close(report);
    for (int fd = 0; fd <= 2; fd++) {
        if (sys_null(fd) < 0)
            return EXIT_FAILED;
    }
    socket_path = path;
    serve_job = serve;
    return kept ? keeper_run(title, &server, serve_to_the_end) : serve_to_the_end(&server);
}

/* Passes on what the process that stays says: whoever has started us looks no longer once we have ended. */
static int await_begin(int report)
{
    struct lines in = {.fd = report};
    char line[LINE_SIZE];

    while (!lines_next(&in, line)) {
        if (lines_fill(&in) < 0) {
            line_say(1, "error it died while it set up");
            return EXIT_FAILED;
        }
    }
    line_say(1, "%s", line);
    return strncmp(line, "error", strlen("error")) == 0 ? EXIT_FAILED : EXIT_OK;
}

int resident_start(const char *name, int argc, char **argv, resident_serve *serve, bool kept)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
    const char *path = parse(argc, argv);
    int report[2];
    pid_t pid;

    if (!path)
        return usage_error("%s: --socket PATH is needed, and nothing else", name);
    /* A terminal's and a service manager's; only its socket and SIGKILL end it. */
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    if (sys_close_from(3) < 0 || chdir("/") < 0) {
        line_say(1, "error cannot let go of what was inherited: %s", strerror(errno));
        return EXIT_FAILED;
    }
    if (pipe2(report, O_CLOEXEC) < 0) {
        line_say(1, "error pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    pid = fork();
    if (pid < 0) {
        line_say(1, "error cannot fork: %s", strerror(errno));
        return EXIT_FAILED;
    }
    if (pid > 0) {
        close(report[1]);
        return await_begin(report[0]);
    }
    close(report[0]);
    return setsid() < 0 ? EXIT_FAILED : stay(name, path, report[1], serve, kept);
}
