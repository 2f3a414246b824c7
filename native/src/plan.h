/*
 * What of a process's memory is in a store: a sparse file in which the offset is the address at the dump.
 * Lines of text, the numbers hexadecimal without 0x, multiples of the page size, END exclusive; each kind is
 * sorted and does not overlap itself:
 *   area START END      the store is about this; a hole is zeros. Private anonymous memory that CRIU
 *                       registers with its userfaultfd: not locked, no huge pages; and not wiped in a child
 *   missing START END   a part of one area that the store has not got yet
 */
#ifndef EXILE_PLAN_H
#define EXILE_PLAN_H

#include "shim.h"

#include <stddef.h>
#include <stdint.h>

struct area {
    uint64_t start;
    uint64_t end;
    uint64_t index; /* of its first page, where the pages of all areas are counted in order */
};

struct plan {
    struct area *areas;
    size_t area_count;
    struct area *missing;
    size_t missing_count;
    uint64_t pages;
    size_t size; /* of the memory that areas and missing are in, one block */
};

/* Takes memory of its own, not of malloc's. -EINVAL: no such text; -ENOMEM. */
must_use int plan_parse(struct plan *plan, const char *text, size_t size);

must_use int plan_read(struct plan *plan, const char *path);

void plan_free(struct plan *plan);

/* The area that holds [start, end) as a whole, or NULL. */
const struct area *plan_find(const struct plan *plan, uint64_t start, uint64_t end);

/* The address at the dump of a page. */
uint64_t plan_address(const struct plan *plan, uint64_t index);

/* A hexadecimal multiple of the page size, at most 2^56; -EINVAL. */
must_use int plan_number(const char *text, uint64_t *number);

#endif
