/* Unit tests of what the pager knows of memory; run under the address and undefined behaviour sanitizers. */
#include "areas.h"
#include "plan.h"
#include "uffd.h"
#include "views.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static int parse(struct plan *plan, const char *text)
{
    return plan_parse(plan, text, strlen(text));
}

static void a_plan_counts_the_pages_of_its_areas(void)
{
    struct plan plan;

    CHECK(parse(&plan, "area 1000 4000\nmissing 2000 3000\narea 10000 12000\nmissing 10000 12000\n") == 0);
    CHECK(plan.area_count == 2 && plan.pages == 5);
    CHECK(plan.areas[0].start == 0x1000 && plan.areas[0].end == 0x4000 && plan.areas[0].index == 0);
    CHECK(plan.areas[1].index == 3);
    CHECK(plan.missing_count == 2 && plan.missing[0].index == 1 && plan.missing[1].index == 3);
    CHECK(plan_find(&plan, 0x3000, 0x4000) == &plan.areas[0]);
    CHECK(plan_find(&plan, 0x10000, 0x12000) == &plan.areas[1]);
    CHECK(!plan_find(&plan, 0x3000, 0x5000) && !plan_find(&plan, 0, 0x1000));
    CHECK(!plan_find(&plan, 0x12000, 0x13000));
    CHECK(plan_address(&plan, 0) == 0x1000 && plan_address(&plan, 2) == 0x3000);
    CHECK(plan_address(&plan, 3) == 0x10000 && plan_address(&plan, 4) == 0x11000);
    plan_free(&plan);
    CHECK(parse(&plan, "") == 0 && plan.area_count == 0 && !plan_find(&plan, 0x1000, 0x2000));
    plan_free(&plan);
}

static void what_is_no_plan_is_refused(void)
{
    static const char *const texts[] = {
        "area 1000 2000",                                /* cut off */
        "area 1000\n",
        "area 1000 2000 3000\n",
        "area 1000 1000\n",
        "area 2000 1000\n",
        "area 1001 2000\n",
        "area 0x1000 2000\n",
        "area 1000 2000\narea 1000 3000\n",              /* overlap */
        "area 2000 3000\narea 1000 2000\n",              /* not sorted */
        "area 1000 2000\nmissing 1000 3000\n",           /* more than the area */
        "area 1000 3000\narea 3000 4000\nmissing 2000 4000\n", /* of two areas */
        "missing 1000 2000\n",
        "other 1000 2000\n",
        "area 100000000000000 100000000001000\n",        /* no address */
        "\n",
    };
    struct plan plan;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK(parse(&plan, texts[i]) == -EINVAL);
}

static struct areas *three_areas(void)
{
    struct plan plan;
    struct areas *areas;

    CHECK(parse(&plan, "area 10000 14000\narea 14000 16000\narea 20000 30000\n") == 0);
    areas = areas_of(&plan);
    plan_free(&plan);
    return areas;
}

static bool is_piece(const struct areas *areas, size_t i, uint64_t start, uint64_t end, uint64_t index)
{
    const struct piece *piece = &areas->pieces[i];

    return i < areas->count && piece->start == start && piece->end == end && piece->index == index;
}

static void pieces_are_found_by_address_and_by_page(void)
{
    struct areas *areas = three_areas();

    CHECK(areas_at(areas, 0x10000) == &areas->pieces[0] && areas_at(areas, 0x13fff) == &areas->pieces[0]);
    CHECK(areas_at(areas, 0x14000) == &areas->pieces[1] && areas_at(areas, 0x2ffff) == &areas->pieces[2]);
    CHECK(!areas_at(areas, 0xffff) && !areas_at(areas, 0x16000) && !areas_at(areas, 0x30000));
    CHECK(areas_with(areas, 3) == &areas->pieces[0] && areas_with(areas, 4) == &areas->pieces[1]);
    CHECK(areas_with(areas, 21) == &areas->pieces[2] && !areas_with(areas, 22));
    CHECK(areas_address(&areas->pieces[1], 5) == 0x15000);
    CHECK(areas_run_end(&areas->pieces[1], 5) == 5 && areas_run_end(&areas->pieces[1], 100) == 6);
    areas_free(areas);
}

static void what_is_cut_out_leaves_the_rest_with_its_pages(void)
{
    struct areas *areas = three_areas();
    struct areas *rest = areas_without(areas, 0x22000, 0x24000, true);

    CHECK(rest->count == 4 && is_piece(rest, 2, 0x20000, 0x22000, 6));
    CHECK(is_piece(rest, 3, 0x24000, 0x30000, 10));
    areas_free(rest);
    rest = areas_without(areas, 0x12000, 0x21000, true);
    CHECK(rest->count == 2 && is_piece(rest, 0, 0x10000, 0x12000, 0));
    CHECK(is_piece(rest, 1, 0x21000, 0x30000, 7));
    areas_free(rest);
    rest = areas_without(areas, 0, 0x7ffffffff000, true);
    CHECK(rest->count == 0);
    areas_free(rest);
    rest = areas_without(areas, 0x16000, 0x20000, true);
    CHECK(rest->count == 3);
    areas_free(rest);
    areas_free(areas);
}

static void what_is_moved_keeps_its_pages_and_the_order(void)
{
    struct areas *areas = three_areas();
    struct areas *moved = areas_moved(areas, 0x12000, 0x50000, 0x3000);
    struct areas *again;

    CHECK(moved->count == 5 && is_piece(moved, 0, 0x10000, 0x12000, 0));
    CHECK(is_piece(moved, 1, 0x15000, 0x16000, 5));
    CHECK(is_piece(moved, 3, 0x50000, 0x52000, 2) && is_piece(moved, 4, 0x52000, 0x53000, 4));
    CHECK(moved->pieces[3].moved && !moved->pieces[0].moved);
    CHECK(!areas_any(moved, 0x12000, 0x15000) && areas_any(moved, 0x14000, 0x15001));
    again = areas_moved(moved, 0x52000, 0x1000, 0x1000);
    CHECK(again->count == 5 && is_piece(again, 0, 0x1000, 0x2000, 4));
    CHECK(is_piece(again, 4, 0x50000, 0x52000, 2));
    areas_free(again);
    /* An event that comes late says that the place was unmapped before. */
    again = areas_without(moved, 0x20000, 0x60000, false);
    CHECK(again->count == 4 && is_piece(again, 2, 0x50000, 0x52000, 2));
    areas_free(again);
    areas_free(moved);
    areas_free(areas);
}

static struct views views = {.closing = -1};

static int any_descriptor(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static struct view *only_view(const struct process *process)
{
    size_t at = 0;
    struct view *view = views_next(&views, process, &at);

    CHECK(view && !views_next(&views, process, &at));
    return view;
}

static struct process *announced(int vpid, const char *text)
{
    struct plan plan;

    CHECK(parse(&plan, text) == 0);
    CHECK(views_announce(&views, vpid, any_descriptor(), &plan) == 0);
    return views_find(&views, vpid);
}

static void a_process_is_expected_then_served_then_finished_with_its_last_view(void)
{
    struct process *process = announced(7, "area 10000 14000\nmissing 11000 12000\n");
    uint64_t counts[PAGE_KINDS];
    int fd = any_descriptor();
    int child = any_descriptor();
    size_t at = 0;
    struct plan plan;

    CHECK(process->state == STATE_EXPECTED && !views_find(&views, 8));
    process = announced(7, "area 10000 14000\nmissing 12000 13000\n");
    CHECK(views.process_count == 1 && views_page(&views, process, 1) == PAGE_HERE);
    CHECK(views_page(&views, process, 2) == PAGE_MISSING);

    CHECK(views_arrived(&views, 7, fd) == 0 && views_arrived(&views, 7, fd) == 0);
    CHECK(process->state == STATE_SERVED && only_view(process)->fd == fd);
    CHECK(views_arrived(&views, 7, child) == -EEXIST);
    CHECK(parse(&plan, "area 10000 14000\n") == 0);
    CHECK(views_announce(&views, 7, -1, &plan) == -EEXIST);
    plan_free(&plan);

    only_view(process)->pages[0] = PAGE_DONE;
    for (int i = 0; i < 2; i++)
        CHECK(views_forked(&views, views.views[0], child) == 0);
    CHECK(views_next(&views, process, &at) && views_next(&views, process, &at));
    CHECK(!views_next(&views, process, &at));
    CHECK(views.views[1]->pages[0] == PAGE_DONE);
    views.views[1]->pages[1] = PAGE_DONE;
    views.views[1]->pages[2] = PAGE_ASKED;
    views_count(&views, process, counts);
    CHECK(counts[PAGE_DONE] == 1 && counts[PAGE_HERE] == 2 && counts[PAGE_ASKED] == 1);

    views_close(&views, 0, STATE_FINISHED);
    CHECK(process->state == STATE_SERVED && fcntl(fd, F_GETFD) < 0);
    views_close(&views, 1, STATE_GONE);
    CHECK(process->state == STATE_FINISHED && process->store == -1);
    views_count(&views, process, counts);
    CHECK(counts[PAGE_DONE] == 4);
}

static void what_nobody_announced_has_no_areas(void)
{
    int fd = any_descriptor();

    CHECK(views_arrived(&views, 99, fd) == 0);
    CHECK(views.views[0]->fd == fd && !views.views[0]->process && views.views[0]->areas->count == 0);
    views_close(&views, 0, STATE_FINISHED);
}

static void after_a_kill_what_had_begun_to_close_is_closed_unless_its_number_is_taken(void)
{
    struct process *process = announced(11, "area 10000 14000\n");
    int fd = any_descriptor();

    views.closing = fd;
    views_recover(&views);
    CHECK(fcntl(fd, F_GETFD) >= 0 && views.closing == -1); /* it is no userfaultfd */
    CHECK(views_arrived(&views, 11, fd) == 0);
    process->last = STATE_GONE;
    views.views[0] = NULL; /* and it was killed here; its memory is lost */
    views_recover(&views);
    CHECK(process->state == STATE_GONE);
    close(fd);
}

int main(void)
{
    a_plan_counts_the_pages_of_its_areas();
    what_is_no_plan_is_refused();
    pieces_are_found_by_address_and_by_page();
    what_is_cut_out_leaves_the_rest_with_its_pages();
    what_is_moved_keeps_its_pages_and_the_order();
    a_process_is_expected_then_served_then_finished_with_its_last_view();
    what_nobody_announced_has_no_areas();
    after_a_kill_what_had_begun_to_close_is_closed_unless_its_number_is_taken();
    if (failures > 0)
        return 1;
    puts("unit tests of the pager: ok");
    return 0;
}
