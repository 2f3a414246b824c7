/* Lines out of a descriptor, without stdio: poll(2) and a hidden stdio buffer do not know of each other. */
#ifndef EXILE_LINES_H
#define EXILE_LINES_H

#include "shim.h"

#include <stdbool.h>
#include <stddef.h>

enum { LINE_SIZE = 512 };

struct lines {
    int fd;
    size_t used;
    char data[LINE_SIZE];
};

/*
 * Takes the next complete line, without its newline, out of what was read. True if there was one.
 * `line` holds LINE_SIZE bytes.
 */
must_use bool lines_next(struct lines *lines, char *line);

/*
 * One read(2); call it when poll(2) says that there is something, or to block for it.
 * 0: got something. -EPIPE: the end, no more will come. -E2BIG: a line longer than LINE_SIZE, what was read
 * of it is dropped. -EAGAIN: a nonblocking descriptor had nothing.
 */
must_use int lines_fill(struct lines *lines);

/* One line to the descriptor, in one write(2). A reader that went away is no error to anybody here. */
void line_say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
