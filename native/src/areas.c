#include "areas.h"
#include "uffd.h"

#include <string.h>
#include <sys/mman.h>

static struct areas *make(size_t count)
{
    size_t size = sizeof(struct areas) + count * sizeof(struct piece);
    struct areas *areas = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (areas == MAP_FAILED)
        return NULL;
    areas->size = size;
    return areas;
}

void areas_free(struct areas *areas)
{
    if (areas)
        munmap(areas, areas->size);
}

struct areas *areas_of(const struct plan *plan)
{
    struct areas *areas = make(plan->area_count);

    if (!areas)
        return NULL;
    for (size_t i = 0; i < plan->area_count; i++) {
        const struct area *area = &plan->areas[i];

        areas->pieces[areas->count++] =
            (struct piece){.start = area->start, .end = area->end, .index = area->index};
    }
    return areas;
}

struct areas *areas_copy(const struct areas *areas)
{
    struct areas *copy = make(areas->count);

    if (!copy)
        return NULL;
    copy->count = areas->count;
    memcpy(copy->pieces, areas->pieces, areas->count * sizeof(struct piece));
    return copy;
}

/* The part of a piece within a range; empty where they do not meet. */
static struct piece part(const struct piece *piece, uint64_t start, uint64_t end)
{
    struct piece result = *piece;

    if (start > piece->start)
        result.start = start < piece->end ? start : piece->end;
    if (end < piece->end)
        result.end = end > result.start ? end : result.start;
    result.index += (result.start - piece->start) / PAGE_SIZE;
    return result;
}

static void add(struct areas *areas, struct piece piece)
{
    size_t at = areas->count;

    if (piece.start >= piece.end)
        return;
    while (at > 0 && areas->pieces[at - 1].start > piece.start) {
        areas->pieces[at] = areas->pieces[at - 1];
        at--;
    }
    areas->pieces[at] = piece;
    areas->count++;
}

static bool meet(const struct piece *piece, uint64_t start, uint64_t end)
{
    return piece->start < end && piece->end > start;
}

static void add_rest(struct areas *areas, const struct piece *piece, uint64_t start, uint64_t end)
{
    if (!meet(piece, start, end)) {
        add(areas, *piece);
        return;
    }
    add(areas, part(piece, 0, start));
    add(areas, part(piece, end, UINT64_MAX));
}

struct areas *areas_without(const struct areas *areas, uint64_t start, uint64_t end, bool moved_too)
{
    struct areas *rest = make(2 * areas->count);

    if (!rest)
        return NULL;
    for (size_t i = 0; i < areas->count; i++) {
        const struct piece *piece = &areas->pieces[i];

        if (piece->moved && !moved_too)
            add(rest, *piece);
        else
            add_rest(rest, piece, start, end);
    }
    return rest;
}

bool areas_any(const struct areas *areas, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < areas->count; i++) {
        if (meet(&areas->pieces[i], start, end))
            return true;
    }
    return false;
}

struct areas *areas_moved(const struct areas *areas, uint64_t from, uint64_t to, uint64_t size)
{
    struct areas *moved = make(3 * areas->count);

    if (!moved)
        return NULL;
    for (size_t i = 0; i < areas->count; i++) {
        const struct piece *piece = &areas->pieces[i];
        struct piece gone = part(piece, from, from + size);

        add_rest(moved, piece, from, from + size);
        gone.start += to - from;
        gone.end += to - from;
        gone.moved = true;
        if (meet(piece, from, from + size))
            add(moved, gone);
    }
    return moved;
}

const struct piece *areas_at(const struct areas *areas, uint64_t address)
{
    size_t low = 0;
    size_t high = areas->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (areas->pieces[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < areas->count && areas->pieces[low].start <= address ? &areas->pieces[low] : NULL;
}

const struct piece *areas_with(const struct areas *areas, uint64_t index)
{
    for (size_t i = 0; i < areas->count; i++) {
        const struct piece *piece = &areas->pieces[i];

        if (index >= piece->index && index - piece->index < (piece->end - piece->start) / PAGE_SIZE)
            return piece;
    }
    return NULL;
}

uint64_t areas_run_end(const struct piece *piece, uint64_t end)
{
    uint64_t last = piece->index + (piece->end - piece->start) / PAGE_SIZE;

    return last < end ? last : end;
}

uint64_t areas_address(const struct piece *piece, uint64_t index)
{
    return piece->start + (index - piece->index) * PAGE_SIZE;
}
