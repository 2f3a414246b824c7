/* A cell's own /dev/shm, with the files in it that the process had at home. */
#ifndef EXILE_SHM_H
#define EXILE_SHM_H

#include "shim.h"

/*
 * As the init, in a mount namespace of its own: mounts an empty tmpfs over /dev/shm and makes what the packed
 * file says, see shm.c. A failure leaves a part of it; the mount goes with the namespace.
 */
must_use int shm_make(const char *packed);

/* The same into a directory that is there. */
must_use int shm_unpack(const char *packed, const char *directory);

#endif
