"""One method of `scripts/benchmark_tiled.py` in a process of its own: `tiled_methods.py JOB`.

Alone, because the peak of its memory is then the method's, and no two libraries' threads meet. It
gets ready, says so in a line of JSON on stdout, and then, for each line on stdin, takes one turn
and says what it measured. An error is said likewise.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import cast

from pydantic import TypeAdapter
from tiled_job import Job, Ready
from tiled_monai import monai
from tiled_naive import naive
from tiled_network import build, product
from tiled_ours import linear, ours
from tiled_seams import picture

from cervseg.errors import CervsegError

METHODS: dict[str, Callable[[Job], Ready]] = {
    "build": build, "naive": naive, "monai": monai, "ours": ours, "product": product,
    "linear": linear, "picture": picture,
}  # fmt: skip


def main(words: list[str]) -> int:
    """Get ready, then a turn for each line on stdin."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is talk

    def say(document: object) -> None:
        print(json.dumps(document), file=out, flush=True)

    job = TypeAdapter(Job).validate_json(words[0])
    try:
        facts, turn = METHODS[job.method](job)
        say({"facts": facts})
        for _ in sys.stdin if turn else ():
            say(cast(Callable[[], dict[str, float]], turn)())
    except CervsegError as exc:
        say({"error": str(exc), "hint": exc.hint})
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
