"""Writes the files that http_load.py asks for: web_files.py DIRECTORY MEGABYTES-OF-BIG"""

import pathlib
import sys

from harness import SMALL_FILES, seeded_stream, small_file


def main():
    folder = pathlib.Path(sys.argv[1])
    for index in range(SMALL_FILES):
        (folder / f"small-{index}").write_bytes(small_file(index))
    with open(folder / "big", "wb") as big:
        for block in seeded_stream("big", int(sys.argv[2]) << 20):
            big.write(block)


if __name__ == "__main__":
    main()
