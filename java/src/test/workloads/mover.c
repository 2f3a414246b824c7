/*
 * Two areas of 4 MB, whole page tables each: of 'a's, and of 'b's. Prints the first one's address. At a line of input the
 * first one is gone, and the second has moved to its place, with the page tables; prints "moved".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { TABLE = 2 << 20, SIZE = 2 * TABLE };

static char *map(char of)
{
    char *base = mmap(NULL, SIZE + TABLE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *start = (char *)(((uintptr_t)base + TABLE - 1) & -(uintptr_t)TABLE);

    if (base == MAP_FAILED)
        return NULL;
    /* Neither is a neighbour of others, nor made of huge pages. */
    munmap(base, (size_t)(start - base));
    if (start != base)
        munmap(start + SIZE, (size_t)(base + TABLE - start));
    madvise(start, SIZE, MADV_NOHUGEPAGE);
    memset(start, of, SIZE);
    return start;
}

int main(void)
{
    char *first = map('a');
    char *second = map('b');

    if (!first || !second)
        return 1;
    printf("%lx\n", (unsigned long)first);
    fflush(stdout);
    getchar();
    if (munmap(first, SIZE) < 0 || mremap(second, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, first) != first)
        return 1;
    printf("moved\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return *first == 'b' ? 0 : 1;
}
