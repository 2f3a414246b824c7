#include "lines.h"
#include "sys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool lines_next(struct lines *lines, char *line)
{
    char *end = memchr(lines->data, '\n', lines->used);
    size_t size;

    if (!end)
        return false;
    size = (size_t)(end - lines->data);
    memcpy(line, lines->data, size);
    line[size] = 0;
    lines->used -= size + 1;
    memmove(lines->data, end + 1, lines->used);
    return true;
}

int lines_fill(struct lines *lines)
{
    ssize_t n;

    if (lines->used == sizeof(lines->data)) {
        lines->used = 0;
        return -E2BIG;
    }
    do {
        n = read(lines->fd, lines->data + lines->used, sizeof(lines->data) - lines->used);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return -EPIPE;
    if (n < 0)
        /* A reset is an end like any other: whoever was there is gone. */
        return errno == EAGAIN ? -EAGAIN : -EPIPE;
    lines->used += (size_t)n;
    return 0;
}

void line_say(int fd, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    if ((size_t)size > sizeof(line) - 2)
        size = (int)sizeof(line) - 2;
    line[size++] = '\n';
    /* The rest of a line that was said in part would be taken for a line: better none at all. */
    if (sys_write_all(fd, line, (size_t)size) < 0 && shutdown(fd, SHUT_RDWR) < 0)
        return;
}
