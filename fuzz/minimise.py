#!/usr/bin/env python3
"""Writes a corpus anew: the fewest of some folders' inputs that reach every edge that all of them reach.

    minimise.py TARGET MOST_INPUTS MOST_BYTES CORPUS FOLDER...

libFuzzer says what each input reaches (its merge, into a control file); the choice is greedy, the input with the most new edges
first, and the shorter of two. Where that takes more than MOST_INPUTS, the last ones, which add the least, are left out.
"""

import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

program, most_inputs, most_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
corpus, *folders = map(pathlib.Path, sys.argv[4:])

with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    everything, merged, control = work / "all", work / "merged", work / "control"
    everything.mkdir(), merged.mkdir()
    for folder in (corpus, *folders):
        for file in sorted(folder.glob("*")):
            data = file.read_bytes()
            if 0 < len(data) <= most_bytes:
                (everything / hashlib.sha1(data).hexdigest()).write_bytes(data)
    command = [program, "-merge=1", f"-merge_control_file={control}", f"-max_len={most_bytes}", str(merged), str(everything)]
    subprocess.run(command, check=True, capture_output=True)

    names, edges = [], {}
    for line in control.read_text().splitlines():
        if found := re.fullmatch(r"COV (\d+) ?(.*)", line):
            edges[int(found[1])] = set(map(int, found[2].split()))
        elif line.startswith(str(work)):
            names.append(pathlib.Path(line))
    left, kept, reached = set(edges), [], set()
    while left and len(kept) < most_inputs:
        gain = lambda i: (len(edges[i] - reached), -names[i].stat().st_size)
        best = max(left, key=gain)
        if not edges[best] - reached:
            break
        left.remove(best)
        kept.append(names[best])
        reached |= edges[best]

    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for file in kept:
        shutil.copy(file, corpus / file.name)
    total = len(set().union(*edges.values())) if edges else 0
    size = sum(file.stat().st_size for file in kept)
    print(f"{len(kept)} of {len(names)} inputs, {size} bytes, reach {len(reached)} of {total} edges")
