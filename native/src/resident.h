/* What the jobs have in common that outlive the agent and listen on a unix socket. */
#ifndef EXILE_RESIDENT_H
#define EXILE_RESIDENT_H

#include "server.h"
#include "shim.h"

#include <stdbool.h>

/*
 * Serves until it is told to quit, or until server->alone; returns the exit code. Where it is kept, it may be
 * killed at any point, and is called again then, in another process.
 */
typedef int resident_serve(struct server *server);

/*
 * Runs job NAME: takes `--socket PATH`, leaves a process in a session of its own that holds nothing of its
 * starter's, prints "NAME PID" once that listens at PATH, and returns the starter's exit code. Kept, it has a
 * keeper, see keeper.h.
 */
must_use int resident_start(const char *name, int argc, char **argv, resident_serve *serve, bool kept);

#endif
