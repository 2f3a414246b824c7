"""Runs the tests that watch the built program from outside: run.py SHIM [TEST...]."""
import os
import signal
import sys
import unittest


def lead_a_session():
    """CRIU dumps no session that is led from outside our PID namespace, as that of a runner in a container may be."""
    if os.getsid(0) != 0:
        return
    if os.getpgrp() == os.getpid():
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
    os.setsid()


def heed_the_keyboard():
    """A shell's background job ignores these, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


if __name__ == "__main__":
    lead_a_session()
    heed_the_keyboard()
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
