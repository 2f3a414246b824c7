/* The kernel's soft-dirty bits, see Documentation/admin-guide/mm/soft-dirty.rst. */
#ifndef EXILE_SOFTDIRTY_H
#define EXILE_SOFTDIRTY_H

#include "shim.h"

/*
 * Tries them, on a page of our own. -ENOSYS: this kernel has none (CONFIG_MEM_SOFT_DIRTY). -EPERM: we do not see
 * which page is which (CAP_SYS_ADMIN).
 */
must_use int softdirty_try(void);

#endif
