"""Moves a process by CRIU alone, as an operator would by script; for the benchmark of memory.

    plain_criu.py receive CRIU PORT DIRECTORY      on the other host, first; says `ready`, then the time (s since 1970) at which
                                                   the process ran, and kills it when its input ends
    plain_criu.py send CRIU PID HOST PORT DIRECTORY
                                                   says the bytes of the images, the time at which the dump was done, how long
                                                   the process had stood still by then (s), and how long CRIU had run (s)

The images go through one TCP connection, by tar, not encrypted. Connections of the process are closed (--tcp-close), and the
process comes back in a PID namespace of its own.
"""

import os
import shutil
import socket
import subprocess
import sys
import time

# Once CRIU has let the process go the shell, as PID 1 of the namespace, tells, and lives on as its parent.
RESTORE = '"$0" restore -D "$1" --tcp-close -d -o restore.log -v1 && echo "$EPOCHREALTIME" && exec sleep infinity'


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def frozen_seconds(directory):
    """CRIU's own measure, of stats-dump: two magic numbers, a size, then field 1 { 1: freezing, 2: frozen, ... } in us."""
    with open(os.path.join(directory, "stats-dump"), "rb") as file:
        data = file.read()[12:]
    _, at = varint(data, 0)
    size, at = varint(data, at)
    fields, end = {}, at + size
    while at < end:
        tag, at = varint(data, at)
        fields[tag >> 3], at = varint(data, at)
    return (fields[1] + fields[2]) / 1e6


def receive(criu, port, directory):
    os.makedirs(directory)
    with socket.create_server(("", int(port))) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
    subprocess.run(["tar", "x", "-b", "1024", "-C", directory], stdin=connection, check=True)
    space = subprocess.Popen(
        ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child", "bash", "-c", RESTORE, criu, directory],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    ran = space.stdout.readline().strip()
    print(ran or "failed", flush=True)
    if not ran:
        with open(os.path.join(directory, "restore.log"), errors="replace") as log:
            sys.stderr.write("".join(log.readlines()[-10:]))
    sys.stdin.read()
    space.kill()
    space.wait()
    shutil.rmtree(directory)


def send(criu, pid, host, port, directory):
    os.makedirs(directory)
    begun = time.monotonic()
    dump = [criu, "dump", "-t", pid, "-D", directory, "--tcp-close", "-o", "dump.log", "-v1"]
    done = subprocess.run(dump, stdin=subprocess.DEVNULL, check=False).returncode
    dumped, took = time.time(), time.monotonic() - begun
    if done:
        with open(os.path.join(directory, "dump.log"), errors="replace") as log:
            sys.exit("".join(log.readlines()[-10:]))
    with socket.create_connection((host, int(port))) as connection:
        subprocess.run(["tar", "c", "-b", "1024", "-C", directory, "."], stdout=connection, check=True)
    size = sum(os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory))
    print(size, repr(dumped), frozen_seconds(directory), took)
    shutil.rmtree(directory)


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
