#include "skip.h"
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* One word up to a separator, and past that. */
static int number_before(const char **text, const char *separators, long min, long max, long *number)
{
    char word[24];
    size_t length = strcspn(*text, separators);

    if (length >= sizeof(word))
        return -EINVAL;
    memcpy(word, *text, length);
    word[length] = 0;
    *text += length;
    return sys_parse_number(word, min, max, number);
}

static int parse_one(const char **text, struct skip_one *one)
{
    long pid;
    long tid = 0;
    long number;
    long count;

    if (number_before(text, "/:", 1, INT_MAX, &pid) < 0)
        return -EINVAL;
    if (**text == '/') {
        (*text)++;
        if (number_before(text, ":", 1, INT_MAX, &tid) < 0)
            return -EINVAL;
    }
    if (*(*text)++ != ':' || number_before(text, ":", 1, _NSIG - 1, &number) < 0)
        return -EINVAL;
    if (*(*text)++ != ':' || number_before(text, ",", 0, INT_MAX, &count) < 0)
        return -EINVAL;
    *one = (struct skip_one){(pid_t)pid, (pid_t)tid, (int)number, (unsigned int)count};
    return 0;
}

int skip_parse(const char *text, struct skip_one *list, size_t room, size_t *used)
{
    while (*text) {
        if (*used == room)
            return -E2BIG;
        if (parse_one(&text, &list[*used]) < 0)
            return -EINVAL;
        (*used)++;
        if (*text && (*text++ != ',' || !*text))
            return -EINVAL;
    }
    return 0;
}

void skip_pick(const struct skip_one *list, size_t used, pid_t pid, pid_t tid, struct skip *skip)
{
    memset(skip, 0, sizeof(*skip));
    for (size_t i = 0; i < used; i++) {
        if (list[i].pid == pid && list[i].tid == tid)
            skip->left[list[i].number] += list[i].count;
    }
}

bool skip_next(struct skip *skip, int number)
{
    if (number <= 0 || number >= _NSIG || skip->left[number] == 0)
        return false;
    skip->left[number]--;
    return true;
}
