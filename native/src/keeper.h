/*
 * A job whose process may be killed: a pair of processes that share memory and descriptors. One works; the
 * other, its keeper, only waits, and starts the next worker, which goes on where the killed one has stopped.
 * A worker whose keeper is killed becomes one, and starts another worker.
 */
#ifndef EXILE_KEEPER_H
#define EXILE_KEEPER_H

#include "resident.h"

/* Serves as NAME until that is over; returns the exit code. What `serve` has to remember is static. */
must_use int keeper_run(const char *name, struct server *server, resident_serve *serve);

#endif
