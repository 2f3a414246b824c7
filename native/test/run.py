"""Runs the tests that watch the built program from outside: run.py SHIM [TEST...]."""
import os
import sys
import unittest

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    os.environ["EXILE_SHIM"] = os.path.abspath(sys.argv[1])
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(sys.argv[2:]) if sys.argv[2:] else loader.discover(here)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    for test, reason in result.skipped:
        print(f"skipped: {reason}: {test}")
    sys.exit(not result.wasSuccessful())
