/* What the jobs have in common that outlive the agent and listen on a unix socket. */
#ifndef EXILE_RESIDENT_H
#define EXILE_RESIDENT_H

#include "server.h"
#include "shim.h"

/* Serves until it is told to quit; returns the exit code. */
typedef int resident_serve(struct server *server);

/*
 * Runs job NAME: takes `--socket PATH`, leaves a process in a session of its own that holds nothing of its
 * starter's, prints "NAME PID" once that listens at PATH, and returns the starter's exit code.
 */
must_use int resident_start(const char *name, int argc, char **argv, resident_serve *serve);

#endif
