"""Prints the demo's summary and judges it: demo_summary.py WORK STATUS BEFORE AFTER ON-B DEPUTY

WORK holds the clients' and the CLI's output. Exit status 0 only if the redis runs on b with the same
data, its deputy on a, and its clients have lost nothing.
"""

import json
import pathlib
import sys


def last_line(path):
    lines = path.read_text().splitlines()
    return json.loads(lines[-1]) if lines else {}


def main():
    work, status, before, after, on_b, deputy = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    counting, connecting = (last_line(work / f"{name}.out") for name in ("counting", "connecting"))
    move = last_line(work / "move.out")
    begun = counting["stallFromEpochMillis"]
    ended = begun + counting["stallMillis"]
    exiles = [how for start, _, how in connecting["connections"] if begun <= start <= ended]
    refused = connecting["refused"] + connecting["failed"]
    wrong = counting["wrong"] + connecting["wrong"]
    rows = [
        ("outcome", move.get("outcome", "none"), status == "0" and move.get("outcome") == "migrated"),
        ("stall seen by the clients", f"{counting['stallMillis']:.0f} ms", True),
        ("frozen time", f"{move.get('frozenMillis', 0)} ms", True),
        ("bytes moved", f"{move.get('bytesTransferred', 0) / 1e6:.1f} MB", True),
        ("requests sent", counting["sent"], counting["sent"] > 0),
        ("requests answered", counting["answered"], True),
        ("requests lost", counting["lost"], counting["lost"] == 0),
        ("wrong answers, errors", wrong + counting["errorCount"], wrong + counting["errorCount"] == 0),
        ("connections opened", connecting["opened"], connecting["opened"] > 0),
        ("... of these during exile", exiles.count("opened"), True),
        ("... slowest", f"{connecting['slowestMillis']:.0f} ms", True),
        ("connections refused", refused, refused == 0),
        ("connections lost", connecting["lost"], connecting["lost"] == 0),
        ("data's digest", "unchanged" if before == after else "CHANGED", before and before == after),
        ("runs on b", on_b, on_b == "yes"),
        ("on a", deputy or "nothing", deputy == "exile: redis-server @b"),
    ]
    colour = sys.stdout.isatty()
    for name, value, good in rows:
        mark = "" if good else "  <-- wrong"
        if colour and mark:
            mark = f"\033[31m{mark}\033[0m"
        print(f"  {name:<28}{value!s:>24}{mark}")
    for problem in counting["errors"] + connecting["errors"]:
        print(f"  {problem}")
    good = all(good for _, _, good in rows)
    print("  nothing lost" if good else "  the demo FAILED")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
