"""A tree of processes that share memory, semaphores and messages: ipc_tree.py FILE

It makes one of each: SysV segment, semaphore set and message queue with messages waiting, POSIX
shared memory and semaphore, memfd. Children wait at a semaphore, at the queue and at the POSIX
semaphore, and count in the POSIX memory. Once all stands FILE.ready tells of it. When FILE.go
appears everything is compared and used, the children are woken, and FILE.out tells how it went.

ipc_tree.py FILE stranger: another process that uses the same segment, queue and POSIX memory.
ipc_tree.py FILE secret: one with secret memory.
"""

import ctypes
import errno
import hashlib
import json
import mmap
import os
import random
import struct
import sys
import time

KEY = 0x45580001
NAME = "exile-it"
SIZE = 1 << 20
COUNTER = SIZE
IPC_CREAT, GETVAL, SETVAL = 0o1000, 12, 16
MESSAGES = [(3, b"three"), (1, b"one" * 100), (2, b"")]
BYTES = random.Random("ipc").randbytes(SIZE)

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = libc.sem_open.restype = ctypes.c_void_p
libc.msgrcv.restype = ctypes.c_ssize_t


class Message(ctypes.Structure):
    _fields_ = [("type", ctypes.c_long), ("text", ctypes.c_char * 1024)]


class Operation(ctypes.Structure):
    _fields_ = [("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short)]


def checked(result, what):
    if result in (-1, 2**64 - 1, None):
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def segment():
    return checked(libc.shmget(KEY, SIZE, IPC_CREAT | 0o600), "shmget")


def attached():
    return checked(libc.shmat(segment(), None, 0), "shmat")


def queue():
    return checked(libc.msgget(KEY, IPC_CREAT | 0o600), "msgget")


def semaphores():
    return checked(libc.semget(KEY, 3, IPC_CREAT | 0o600), "semget")


def operate(change):
    operation = Operation(0, change, 0)
    checked(libc.semop(semaphores(), ctypes.byref(operation), 1), "semop")


def send(kind, text):
    checked(libc.msgsnd(queue(), ctypes.byref(Message(kind, text)), len(text), 0), "msgsnd")


def receive(kind):
    message = Message()
    size = checked(libc.msgrcv(queue(), ctypes.byref(message), 1024, kind, 0), "msgrcv")
    return message.type, ctypes.string_at(ctypes.addressof(message) + Message.text.offset, size)


def posix_memory():
    descriptor = os.open(f"/dev/shm/{NAME}", os.O_RDWR | os.O_CREAT, 0o640)
    os.ftruncate(descriptor, 64 << 20)  # sparse
    memory = mmap.mmap(descriptor, 2 * SIZE)
    os.close(descriptor)
    return memory


def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as problem:  # told by the exit status and the file
            with open(sys.argv[1] + ".error", "a") as out:
                out.write(f"{work.__name__}: {problem!r}\n")
            os._exit(1)
    return pid


def digest(data):
    return hashlib.sha256(data).hexdigest()


def await_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def tell(kind, **facts):
    with open(f"{sys.argv[1]}.new", "w") as out:
        json.dump(facts, out)
    os.rename(f"{sys.argv[1]}.new", f"{sys.argv[1]}.{kind}")


def main():
    address, memory = attached(), posix_memory()
    ctypes.memmove(address, BYTES, SIZE)
    memory[:SIZE] = BYTES[::-1]
    checked(libc.semctl(semaphores(), 0, SETVAL, 0), "semctl")
    checked(libc.semctl(semaphores(), 1, SETVAL, 77), "semctl")
    for kind, text in MESSAGES:
        send(kind, text)
    named = checked(libc.sem_open(f"/{NAME}".encode(), os.O_CREAT, 0o600, 0), "sem_open")
    memfd = os.memfd_create("exile-it")
    os.write(memfd, BYTES)

    def count():
        while True:
            before, = struct.unpack_from("<Q", memory, COUNTER)
            struct.pack_into("<Q", memory, COUNTER, before + 1)
            time.sleep(0.01)

    def wait_at_set():
        operate(-1)

    def wait_at_queue():
        assert receive(99) == (99, b"wake up")

    def wait_at_named():
        while libc.sem_wait(ctypes.c_void_p(named)):
            if ctypes.get_errno() != errno.EINTR:
                checked(-1, "sem_wait")

    counter = child(count)
    waiting = [child(work) for work in (wait_at_set, wait_at_queue, wait_at_named)]
    ids = [segment(), queue(), semaphores()]
    time.sleep(0.2)
    tell("ready", ids=ids)
    await_file(sys.argv[1] + ".go")

    def newcomer():
        assert ctypes.string_at(attached(), SIZE) == BYTES
        assert posix_memory()[:SIZE] == BYTES[::-1]
        again = checked(libc.sem_open(f"/{NAME}".encode(), 0), "sem_open")
        checked(libc.sem_post(ctypes.c_void_p(again)), "sem_post")

    first, = struct.unpack_from("<Q", memory, COUNTER)
    facts = {
        "ids": [segment(), queue(), semaphores()] == ids,
        "segment": digest(ctypes.string_at(address, SIZE)) == digest(BYTES),
        "posix": digest(memory[:SIZE]) == digest(BYTES[::-1]),
        "memfd": digest(os.pread(memfd, 2 * SIZE, 0)) == digest(BYTES),
        "value": libc.semctl(semaphores(), 1, GETVAL) == 77,
        "messages": [receive(-3), receive(-3), receive(-3)] == sorted(MESSAGES),
    }
    operate(1)
    send(99, b"wake up")
    facts["newcomer"] = os.waitpid(child(newcomer), 0)[1] == 0
    facts["woken"] = all(os.waitpid(pid, 0)[1] == 0 for pid in waiting)
    time.sleep(0.1)
    facts["counted"] = struct.unpack_from("<Q", memory, COUNTER)[0] > first > 0
    os.kill(counter, 9)
    os.waitpid(counter, 0)
    tell("out", **facts)
    time.sleep(600)


def stranger():
    attached()
    memory = posix_memory()
    send(7, b"from a stranger")
    tell("stranger", mapped=len(memory))
    time.sleep(600)


def secret():
    descriptor = checked(libc.syscall(447, 0), "memfd_secret")
    os.ftruncate(descriptor, 4096)
    memory = mmap.mmap(descriptor, 4096)
    tell("secret", mapped=len(memory))
    time.sleep(600)


{"stranger": stranger, "secret": secret}.get("".join(sys.argv[2:]), main)()
