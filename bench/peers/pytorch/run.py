#!/usr/bin/env python3
"""Compares PyTorch on this CPU with the library: results first, then times in turns, in one run.

A run for every number of threads, for PyTorch and the libraries under it read that once. Instruction sets: where ours
is compiled for AVX2, PyTorch (ATEN_CPU_CAPABILITY), oneDNN and OpenBLAS are held to it as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ours", required=True, help="the program stepscan_cases")
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


def run_inside(arguments):
    import torch

    import inference
    import updates
    from ours import Ours
    from race import Mismatch, Race

    arguments.threads = int(arguments.threads)
    torch.set_num_threads(arguments.threads)
    race = Race(Ours(arguments.ours), arguments)
    try:
        inference.run(race)
        updates.run(race)
    except Mismatch as mismatch:
        sys.exit(f"results differ, nothing is timed from here on: {mismatch}")
    if arguments.benchmark_out:
        race.write(arguments.benchmark_out, {"pytorch": torch.__version__, "capability": torch.__config__.show()})


def run_all(arguments):
    from ours import Ours

    instruction_set = Ours(arguments.ours).instruction_set()
    merged = None
    for threads in arguments.threads.split(","):
        with tempfile.NamedTemporaryFile(suffix=".json") as part:
            command = [sys.executable, __file__, "--inside", "--ours", arguments.ours, "--threads", threads,
                       "--seconds", str(arguments.seconds), "--benchmark_filter", arguments.benchmark_filter,
                       "--benchmark_out", part.name]
            subprocess.run(command, env=environment(threads, instruction_set), check=True)
            results = json.load(open(part.name))
        if merged is None:
            merged = results
        else:
            merged["benchmarks"] += results["benchmarks"]
    if arguments.benchmark_out:
        with open(arguments.benchmark_out, "w") as file:
            json.dump(merged, file, indent=1)


if __name__ == "__main__":
    options = parse()
    try:
        run_inside(options) if options.inside else run_all(options)
    except subprocess.CalledProcessError as failure:
        sys.exit(failure.returncode)
