/* A loopback TCP connection with both ends in one process, to give one away. */
#ifndef EXILE_WIRE_H
#define EXILE_WIRE_H

#include "shim.h"

/* Both ends nonblocking and close-on-exec, sending without delay. */
must_use int wire_pair(int ends[2]);

#endif
