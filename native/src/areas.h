/*
 * Where a process has its areas now: as at the dump, until it moves or unmaps some. A table is never changed
 * but replaced, by storing one pointer: whoever is killed leaves the old one or the new one.
 */
#ifndef EXILE_AREAS_H
#define EXILE_AREAS_H

#include "plan.h"
#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct piece {
    uint64_t start; /* where it is now */
    uint64_t end;
    uint64_t index; /* its first page, see plan.h: a piece is of one area */
    bool moved;     /* it was somewhere else at the dump */
};

/* Sorted by start; nothing overlaps. */
struct areas {
    size_t size; /* of the memory that it is in */
    size_t count;
    struct piece pieces[];
};

/* Whether anything is there. */
bool areas_any(const struct areas *areas, uint64_t start, uint64_t end);

/* These four return memory of their own, or NULL: there is none now. */
struct areas *areas_of(const struct plan *plan);
struct areas *areas_copy(const struct areas *areas);

/* Without that range; but moved pieces stay if `moved_too` is false. */
struct areas *areas_without(const struct areas *areas, uint64_t start, uint64_t end, bool moved_too);

/* What was at [from, from + size) is at `to`, where nothing was. */
struct areas *areas_moved(const struct areas *areas, uint64_t from, uint64_t to, uint64_t size);

void areas_free(struct areas *areas);

/* The page after a piece's last one, or `end` if that is less. */
uint64_t areas_run_end(const struct piece *piece, uint64_t end);

/* Where a page of the piece is now. */
uint64_t areas_address(const struct piece *piece, uint64_t index);

/* The piece at an address, or with a page; or NULL. */
const struct piece *areas_at(const struct areas *areas, uint64_t address);
const struct piece *areas_with(const struct areas *areas, uint64_t index);

#endif
