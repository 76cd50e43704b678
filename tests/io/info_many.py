"""Runs ``otreg info`` on many files in one process with little memory: ``python info_many.py BYTES < names > answers``.

One JSON line for each file: exit code, both texts, and the seconds of computing, its children's too.
"""

import contextlib
import io
import json
import os
import resource
import sys
import time

from otreg_cli.main import run


def main() -> None:
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name in json.load(sys.stdin):
        out, err = io.StringIO(), io.StringIO()
        before, started = os.times(), time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["info", name, "--json"])
        after = os.times()
        answer = {
            "name": name,
            "code": code,
            "out": out.getvalue(),
            "err": err.getvalue(),
            "cpu": sum(after[:4]) - sum(before[:4]),
            "wall": time.monotonic() - started,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
