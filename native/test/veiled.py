"""Runs with the veil on: compares scans through it with scans of the kernel's own. veiled.py SEED SCANS"""
import ctypes
import mmap
import os
import random
import sys

PAGE = 4096
SCAN = 0xC0606610
PRESENT, SWAPPED, GUARD = 1 << 3, 1 << 4, 1 << 8
SYS_ioctl, SYS_pread64 = 16, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.pread64.argtypes = libc.pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]


class Argument(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "size", "flags", "start", "end", "walk_end", "vec", "vec_len", "max_pages",
        "category_inverted", "category_mask", "category_anyof_mask", "return_mask")]


def ioctl(fd, argument):
    return libc.ioctl(fd, ctypes.c_ulong(SCAN), ctypes.byref(argument))


def kernel_ioctl(fd, argument):
    return libc.syscall(SYS_ioctl, fd, ctypes.c_ulong(SCAN), ctypes.byref(argument))


def pages(call, fd, start, end, vec_len, max_pages=0, mask=0):
    """The populated pages, by as many scans as it takes."""
    found, at = [], start
    regions = (ctypes.c_uint64 * (3 * vec_len))()
    while at < end:
        argument = Argument(96, 0, at, end, 0, ctypes.addressof(regions), vec_len, max_pages, 0, mask,
                            0 if mask else PRESENT | SWAPPED, mask or PRESENT | SWAPPED)
        n = call(fd, argument)
        assert 0 <= n <= vec_len, (n, ctypes.get_errno())
        assert at < argument.walk_end <= end, (hex(at), hex(argument.walk_end))
        one = [page for i in range(n) for page in range(regions[3 * i], regions[3 * i + 1], PAGE)]
        assert not max_pages or len(one) <= max_pages
        assert all(page < argument.walk_end for page in one)
        found += one
        at = argument.walk_end
    assert found == sorted(set(found))
    return found


def area(count, rng):
    memory = mmap.mmap(-1, count * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(count * PAGE), 15)  # no huge pages
    for i in range(count):
        if rng.random() < 0.6:
            memory[i * PAGE] = 1
    return memory, address


def ranges(address, count, rng):
    """Some touch each other, some the area's ends; two lie outside of it."""
    cuts = sorted(rng.sample(range(count + 1), 24))
    inside = [(address + a * PAGE, address + b * PAGE) for a, b in zip(cuts, cuts[1:]) if rng.random() < 0.5]
    return [(0x10000, 0x11000)] + inside + [(0x7FFFFFFFD000, 0x7FFFFFFFE000)]


def compare(fd, hidden, address, count, scans, rng):
    def visible(found):
        return [page for page in found if not any(a <= page < b for a, b in hidden)]

    for _ in range(scans):
        first, last = sorted(rng.sample(range(count + 1), 2))
        start, end = address + first * PAGE, address + last * PAGE
        vec_len, max_pages = rng.choice([1, 2, 3, 7, 1000]), rng.choice([0, 0, 1, 5, 300])
        everything = pages(kernel_ioctl, fd, start, end, 1000)
        assert visible(everything) == pages(ioctl, fd, start, end, vec_len, max_pages)
        for read in (libc.pread64, libc.pread):
            entries = (ctypes.c_uint64 * (last - first))()
            offset = start // PAGE * 8
            assert read(fd, entries, (last - first) * 8, offset) == (last - first) * 8
            kernels = (ctypes.c_uint64 * (last - first))()
            assert libc.syscall(SYS_pread64, fd, kernels, (last - first) * 8, ctypes.c_long(offset)) > 0
            assert list(entries) == [0 if not visible([start + i * PAGE]) else kernels[i] for i in range(last - first)]


def errors(fd, address):
    """As the kernel's."""
    regions = (ctypes.c_uint64 * 3)()
    for argument in (Argument(96, 0, address + 1, address + PAGE, 0, ctypes.addressof(regions), 1),
                     Argument(95, 0, address, address + PAGE, 0, ctypes.addressof(regions), 1),
                     Argument(96, 1 << 40, address, address + PAGE * 512, 0, ctypes.addressof(regions), 1),
                     Argument(96, 0, address, address + PAGE * 512, 0, 8, 1, 0, 0, 0, PRESENT, PRESENT)):
        assert kernel_ioctl(fd, argument) == -1
        expected = ctypes.get_errno()
        ctypes.set_errno(0)
        assert ioctl(fd, argument) == -1 and ctypes.get_errno() == expected, (ctypes.get_errno(), expected)
    ctypes.set_errno(0)
    assert libc.ioctl(-1, ctypes.c_ulong(SCAN), None) == -1 and ctypes.get_errno() == 9


def guards(fd, address):
    """Are found in what is hidden, too, by who asks for them alone."""
    if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 102):
        return
    try:
        found = pages(kernel_ioctl, fd, address, address + PAGE * 512, 10, mask=GUARD)
    except AssertionError:
        return
    assert found == [address] == pages(ioctl, fd, address, address + PAGE * 512, 10, mask=GUARD)


def main():
    rng = random.Random(int(sys.argv[1]))
    count = 512
    memory, address = area(count, rng)
    hidden = ranges(address, count, rng)
    if len(sys.argv) > 3:
        hidden = [(address, address + count * PAGE)]
    with open(os.environ["EXILE_VEIL"], "w") as f:
        f.write("1 1000 2000\n")
        f.writelines(f"{os.getpid()} {a:x} {b:x}\n" for a, b in hidden)
        f.write("4294967 5000 6000\n")
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap, open("/proc/self/cmdline", "rb") as other:
        compare(pagemap.fileno(), hidden, address, count, int(sys.argv[2]), rng)
        if hidden[0][0] != address:
            errors(pagemap.fileno(), address)  # where nothing is left to be scanned, the kernel is not asked
        guards(pagemap.fileno(), address)
        assert os.pread(other.fileno(), 6, 0) != bytes(6)
    del memory


main()
