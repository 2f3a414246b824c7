/* The veil (native/veil/veil.c), which lies beside this program and is preloaded into CRIU. */
#ifndef EXILE_VEIL_H
#define EXILE_VEIL_H

#include "shim.h"

#include <stdbool.h>

/* Where the veil lies, by an absolute path that LD_PRELOAD can hold. */
must_use int veil_find(const char **library);

/*
 * Puts it into our environment, for the child that is started next, and takes it out again. `file`: which pages
 * are hidden. NULL, or no veil to be found: the environment stays as it is.
 */
void veil_put_on(const char *file);
void veil_take_off(void);

#endif
