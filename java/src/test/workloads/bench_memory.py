"""The benchmark of memory, as `scripts/bench memory` and `scripts/bench tracker` start it, on a test bed a, b, c that is up.

    bench_memory.py memory TESTBED NAME CRIU SIZES RUNS ALGORITHMS LOADS
    bench_memory.py tracker TESTBED NAME SHIM PAIRS REQUESTS

Ended by SIGINT or SIGTERM it prints the table of what has been measured so far.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PORT = 6379
COPY_PORT = 9000
WRITES_PER_SECOND = 2000
TRACKED_MEGABYTES = 512
TRACKED_KEYS = 50_000
REARM_MILLIS = 500
PLAIN = "plain-criu"
VALUES_PER_MEGABYTE = 250  # so that all of redis is about as large as the size asked for
BASE_MEGABYTES = 12
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"


class Bed:
    def __init__(self, testbed, name):
        self.command = [testbed, "--name", name]

    def line(self, host, *words):
        return [*self.command, "exec", host, *map(str, words)]

    def run(self, host, *words, check=True):
        done = subprocess.run(self.line(host, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def start(self, host, *words):
        """One that is to say `ready`; its input ends it."""
        started = subprocess.Popen(self.line(host, *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = started.stdout.readline().strip()
        if said != "ready":
            raise RuntimeError(f"{words}: {said}")
        return started

    def python(self, host, script, *words):
        return self.start(host, PYTHON, "-B", os.path.join(HERE, script), *words)

    def ask(self, host, *words):
        return self.run(host, PYTHON, "-B", os.path.join(HERE, "redis_memory.py"), *words)

    def address(self, host):
        return subprocess.run([*self.command, "ip", host], capture_output=True, text=True, check=True).stdout.strip()


def end(started):
    said, _ = started.communicate()
    return said.split()


class Data:
    """Servers are filled once for each size; each run's own loads what that one has saved."""

    def __init__(self, bed):
        self.bed, self.directory, self.digests = bed, tempfile.mkdtemp(prefix="exile-bench-"), {}
        self.store = os.path.join(self.directory, "store")  # which both hosts reach
        os.mkdir(self.store, 0o700)

    def close(self):
        shutil.rmtree(self.directory)

    def serve(self, megabytes):
        """A fresh redis on a: its PID, the number of its values, their digest and its resident bytes."""
        values = (megabytes - BASE_MEGABYTES) * VALUES_PER_MEGABYTE // 64 * 64
        if megabytes not in self.digests:
            pid = self.start(megabytes)
            self.digests[megabytes] = self.bed.ask("a", "fill", "127.0.0.1", PORT, values)
            self.bed.run("a", "redis-cli", "save")
            gone(self.bed, pid)
        pid = self.start(megabytes)
        return pid, values, self.digests[megabytes], resident(self.bed, pid)

    def start(self, megabytes):
        options = ["--port", PORT, "--save", "", "--protected-mode", "no"]
        options += ["--dir", self.directory, "--dbfilename", f"{megabytes}.rdb"]
        options += ["--rdbcompression", "no", "--rdbchecksum", "no"]
        # A service of the host: its standard streams are of the host's own mounts.
        begin = 'setsid "$@" </dev/null >/dev/null 2>&1 & echo $!'
        pid = self.bed.run("a", "sh", "-c", begin, "sh", "redis-server", *options)
        await_that("redis answers", lambda: self.bed.run("a", "redis-cli", "ping", check=False) == "PONG")
        return pid


def resident(bed, pid):
    return int(bed.run("a", "awk", "/^VmRSS/ { print $2 }", f"/proc/{pid}/status")) * 1024


def await_that(what, true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s: {what}")
        time.sleep(0.1)


def gone(bed, pid):
    bed.run("a", "kill", "-9", pid, check=False)
    await_that("redis is gone", lambda: bed.run("a", "sh", "-c", f"kill -0 {pid} 2>&1 || echo gone").endswith("gone"))
    await_that("its port is free", lambda: "refused" in bed.run("a", "sh", "-c", f"redis-cli -p {PORT} ping 2>&1", check=False))


def by_exile(bed, pid, algorithm, store):
    begun = time.monotonic()
    words = ["--algorithm", algorithm, *(["--store", store] if algorithm == "file-server" else [])]
    report = json.loads(bed.run("a", "exile", "migrate", pid, "--to", "b", *words, "-o", "json"))
    while report["dependsOnHomeMillis"] < 0:
        if time.monotonic() - begun > 300:
            raise RuntimeError(f"home is still needed: {report}")
        time.sleep(0.2)
        report = json.loads(bed.run("a", "exile", "show", report["id"], "-o", "json"))
    if report["outcome"] != "migrated":
        raise RuntimeError(json.dumps(report))
    phases = {phase["name"]: phase["millis"] for phase in report["phases"]}
    return {
        "frozen": report["frozenMillis"],
        "total": report["totalMillis"],
        "bytes": report["bytesTransferred"],
        "missing": report["missingBytes"],
        "home": report["dependsOnHomeMillis"],
        "phases": phases,
        "rounds": report["rounds"],
        "note": report["note"],
    }


def by_criu(bed, criu, pid):
    """The measured values, and what holds the process at b."""
    receiver = bed.python("b", "plain_criu.py", "receive", criu, COPY_PORT, "/run/plain")
    said = bed.run(
        "a", PYTHON, "-B", os.path.join(HERE, "plain_criu.py"), "send", criu, pid, bed.address("b"), COPY_PORT, "/run/plain"
    )
    size, dumped, frozen, dump = map(float, said.split())
    ran = receiver.stdout.readline().strip()
    if ran == "failed":
        end(receiver)
        raise RuntimeError("criu restore failed")
    after = float(ran) - dumped
    result = {
        "frozen": (frozen + after) * 1000,
        "total": (dump + after) * 1000,
        "bytes": size,
        "missing": 0,
        "home": 0,
        "phases": {"dump": round(dump * 1000), "copy and restore": round(after * 1000)},
        "rounds": [],
        "note": "",
    }
    return result, receiver


def measure(bed, data, criu, system, size, load):
    """One move of a fresh redis."""
    pid, values, digest, before = data.serve(size)
    hosts = bed.address("a") if system != PLAIN else f"{bed.address('a')},{bed.address('b')}"
    receiver = writer = None
    pinger = bed.python("c", "redis_memory.py", "ping", hosts, PORT)
    try:
        if load == "busy":
            writer = bed.python("c", "redis_memory.py", "write", hosts, PORT, values, WRITES_PER_SECOND)
        time.sleep(1)
        if system == PLAIN:
            result, receiver = by_criu(bed, criu, pid)
        else:
            result = by_exile(bed, pid, system, data.store)
        time.sleep(0.5)
        longest, _, lost = end(pinger)
        result["written"] = end(writer) if writer else []
        size_now, digest_now = bed.ask("c", "check", bed.address("b" if receiver else "a"), PORT).split()
        if (int(size_now), digest_now) != (values, digest):
            raise RuntimeError(f"{system} {size} {load}: {size_now} values instead of {values}, digest {digest_now}, was {digest}")
        return result | {"resident": before, "stall": float(longest), "lost": int(lost)}
    finally:
        for started in (pinger, writer, receiver):
            if started and not started.stdin.closed:
                end(started)
        gone(bed, pid)


def middle(results, field):
    return statistics.median(result[field] for result in results)


def table(measured, sizes, systems, loads):
    head = ("algorithm", "frozen ms", "stall ms", "total ms", "MB sent", "of RSS", "MB missing", "home ms", "lost", "runs")
    form = "%-14s %10s %9s %9s %9s %7s %11s %8s %5s %5s"
    for load in loads:
        for size in sizes:
            rows = [(system, measured.get((load, size, system))) for system in systems]
            if not any(results for _, results in rows):
                continue
            print(f"\nredis of {size} MB, {'idle' if load == 'idle' else f'{WRITES_PER_SECOND} values of 4 KB written a second'}")
            print(form % head)
            for system, results in rows:
                if not results:
                    continue
                megabytes = middle(results, "bytes") / 1e6
                print(
                    form
                    % (
                        system,
                        "%.0f" % middle(results, "frozen"),
                        "%.0f" % middle(results, "stall"),
                        "%.0f" % middle(results, "total"),
                        "%.1f" % megabytes,
                        "%.2f" % statistics.median(r["bytes"] / r["resident"] for r in results),
                        "%.1f" % (middle(results, "missing") / 1e6),
                        "%.0f" % middle(results, "home"),
                        "%.0f" % middle(results, "lost"),
                        len(results),
                    )
                )
    print()
    ratios(measured, sizes, loads)


def ratios(measured, sizes, loads):
    def frozen(load, size, system):
        results = measured.get((load, size, system))
        return middle(results, "frozen") if results else None

    def say(what, above, below, limit, strict=False):
        if above is None or not below:
            return
        ratio = above / below
        good = ratio < limit if strict else ratio <= limit
        print("%-62s %6.2f  %s %.1f  %s" % (what, ratio, "<" if strict else "<=", limit, "yes" if good else "NO"))

    smallest, largest = min(sizes), max(sizes)
    for load in loads:
        if smallest != largest:
            what = f"{load}: auto, frozen at {largest} MB / at {smallest} MB"
            say(what, frozen(load, largest, "auto"), frozen(load, smallest, "auto"), 1.5)
        what = f"{load}: frozen at {largest} MB, auto / total-copy"
        say(what, frozen(load, largest, "auto"), frozen(load, largest, "total-copy"), 0.2)
        for size in sizes:
            results = measured.get((load, size, "auto"))
            if load == "idle" and results:
                ratio = statistics.median(result["bytes"] / result["resident"] for result in results)
                say(f"{load}: auto at {size} MB, bytes / resident set", ratio, 1, 1.1)
            what = f"{load}: frozen at {size} MB, total-copy / plain CRIU"
            say(what, frozen(load, size, "total-copy"), frozen(load, size, PLAIN), 1.0, strict=True)


def memory(bed, data, criu, sizes, runs, systems, loads):
    sizes, runs, systems, loads = [int(size) for size in sizes.split()], int(runs), systems.split(), loads.split()
    measured = {}
    try:
        for run in range(runs):
            for load in loads:
                for size in sizes:
                    # Another one begins each round: what the one before leaves behind hits all alike.
                    for system in systems[run % len(systems) :] + systems[: run % len(systems)]:
                        try:
                            result = measure(bed, data, criu, system, size, load)
                        except (RuntimeError, ValueError, OSError) as problem:
                            print(f"bench: {system} {size} MB {load}: {problem}", file=sys.stderr, flush=True)
                            if "no algorithm is called" in str(problem):
                                systems.remove(system)
                            continue
                        measured.setdefault((load, size, system), []).append(result)
                        said = {"round": run + 1, "load": load, "size": size, "system": system} | result
                        print(json.dumps(said | {"machine": os.getloadavg()[0]}), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    table(measured, sizes, systems, loads)


def throughput(bed, pid, value_bytes, requests):
    """SETs a second of redis-benchmark's 50 clients over a's loopback, and the server's us on a processor for each."""
    words = ["-t", "set", "-d", value_bytes, "-r", TRACKED_KEYS, "-n", requests, "--csv"]
    before = busy_nanos(bed, pid)
    rate = float(bed.run("a", "redis-benchmark", *words).splitlines()[-1].split(",")[1].strip('"'))
    return rate, (busy_nanos(bed, pid) - before) / 1000 / int(requests)


def busy_nanos(bed, pid):
    return int(bed.run("a", "cat", f"/proc/{pid}/schedstat").split()[0])


def tracker(bed, data, shim, pairs, requests):
    """Whether it is on or off first changes from pair to pair."""
    sizes = (64, 4096)
    pid, *_ = data.serve(TRACKED_MEGABYTES)
    measured = {(size, on): [] for size in sizes for on in (True, False)}
    for size in sizes:
        throughput(bed, pid, size, requests)  # makes the keys
    try:
        for pair in range(int(pairs)):
            for size in sizes:
                said = {"pair": pair + 1, "value bytes": size, "machine": os.getloadavg()[0]}
                for on in (True, False) if pair % 2 else (False, True):
                    tracked = bed.python("a", "tracked.py", shim, pid, REARM_MILLIS) if on else None
                    said["on" if on else "off"] = throughput(bed, pid, size, requests)
                    if tracked:
                        said["rounds, pages, ms"] = end(tracked)
                measured[size, True].append(said["on"])
                measured[size, False].append(said["off"])
                print(json.dumps(said), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    form = "%-11s %10s %10s %9s %16s %16s %9s %6s"
    print(form % ("value bytes", "on, SET/s", "off, SET/s", "on / off", "on, CPU us/SET", "off, CPU us/SET", "on / off", "pairs"))
    for size in sizes:
        pairs = list(zip(measured[size, True], measured[size, False]))
        if pairs:
            columns = []
            for index, digits in ((0, "%.0f"), (1, "%.1f")):
                columns += [digits % statistics.median(pair[which][index] for pair in pairs) for which in (0, 1)]
                columns.append("%.2f" % statistics.median(on[index] / off[index] for on, off in pairs))
            print(form % (size, *columns, len(pairs)))
    gone(bed, pid)


def main():
    job, testbed, name, *rest = sys.argv[1:]
    # Also where it was started in the background, with the signal ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    bed = Bed(testbed, name)
    data = Data(bed)
    try:
        {"memory": memory, "tracker": tracker}[job](bed, data, *rest)
    finally:
        data.close()


if __name__ == "__main__":
    main()
