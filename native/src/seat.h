/* A cell's pseudo terminal: where the process sits that had a terminal at home. */
#ifndef EXILE_SEAT_H
#define EXILE_SEAT_H

#include "shim.h"

#include <stdbool.h>
#include <sys/types.h>

struct seat {
    int index; /* N of /dev/pts/N */
    uid_t uid;
    gid_t gid;
    mode_t mode;
    bool leader; /* the process leads a session of its own, whose controlling terminal this will be */
    int also[2]; /* other numbers of the slave, for CRIU; 0: none */
    int master;
    int slave;
    pid_t group; /* which is in the foreground when we are not */
};

/* INDEX:UID:GID:MODE, MODE in octal; cut up in place. */
must_use int seat_parse(char *text, struct seat *seat);
must_use int seat_also_as(const char *text, struct seat *seat);

/*
 * As the init, in a mount namespace and a session of its own. Mounts an empty devpts, in which every number is
 * free, so that the terminal has the name that it had at home.
 */
must_use int seat_make(struct seat *seat);

/* Home's job is in the background: so is everybody here, who is then stopped when reading, as there. */
void seat_background(struct seat *seat);

/* It is in the foreground (again): whoever was, first the group of `root`. */
void seat_foreground(struct seat *seat, pid_t root);

#endif
