"""The main program of a peer that is driven from Python: results first, then times in turns, in one run.

A run for every number of threads, for libraries read that once. Instruction sets: where ours is compiled for AVX2, the
peers' libraries are held to it as well, those that can be.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from ours import Ours
from race import Mismatch, Race


def parse(description):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--ours", required=True, help="the program stepscan_cases")
    parser.add_argument("--library", help="the peer's library, where Python does not find it by itself")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas between")
    parser.add_argument("--seconds", type=float, default=2, help="how long a case is timed, about")
    parser.add_argument("--benchmark_filter", default=".", help="a regular expression for names of cases")
    parser.add_argument("--benchmark_out", help="file for the results, as JSON of Google Benchmark")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_known_args()[0]


def environment(threads, instruction_set):
    held = {} if "avx512" in instruction_set else {
        "ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
    return {**os.environ, **held, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def run_inside(peer, run, arguments):
    arguments.threads = int(arguments.threads)
    race = Race(peer, Ours(arguments.ours), arguments)
    try:
        about = run(race, arguments)
    except Mismatch as mismatch:
        sys.exit(f"results differ, nothing is timed from here on: {mismatch}")
    if arguments.benchmark_out:
        race.write(arguments.benchmark_out, {"executable": f"stepscan_peer_{peer}", **about})


def run_all(arguments):
    instruction_set = Ours(arguments.ours).instruction_set()
    merged = None
    for threads in arguments.threads.split(","):
        with tempfile.NamedTemporaryFile(suffix=".json") as part:
            # of options that stand twice the last one holds
            command = [sys.executable, *sys.argv, "--inside", "--threads", threads, "--benchmark_out", part.name]
            subprocess.run(command, env=environment(threads, instruction_set), check=True)
            results = json.load(open(part.name))
        if merged is None:
            merged = results
        else:
            merged["benchmarks"] += results["benchmarks"]
    if arguments.benchmark_out:
        with open(arguments.benchmark_out, "w") as file:
            json.dump(merged, file, indent=1)


def main(peer, description, run):
    """run(race, arguments) compares all cases, and says what the peer's version is: {name: text}."""
    arguments = parse(description)
    try:
        run_inside(peer, run, arguments) if arguments.inside else run_all(arguments)
    except subprocess.CalledProcessError as failure:
        sys.exit(failure.returncode)
