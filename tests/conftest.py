"""What all tests share: Keras started once, and property tests that may take their time."""

import signal

import pytest
from hypothesis import settings

# A suite that runs in the background of a shell has Ctrl-C ignored, and so would the commands that
# it starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong; the same examples every time, so that a failure comes back.
settings.register_profile("cervseg", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("cervseg")


@pytest.fixture(scope="session")
def started():
    """Keras on the CPU with two threads; import it (or what needs it) inside the test or after."""
    from cervseg import runtime

    runtime.start(device="cpu", threads=2)
