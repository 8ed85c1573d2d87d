"""Runs this library and a peer in turns, after holding their results against each other."""

import json
import re
import statistics
import sys
import time

import numpy


class Mismatch(Exception):
    pass


def difference(ours, theirs):
    """The largest difference, as a share of the peer's largest number."""
    theirs = numpy.asarray(theirs).reshape(-1)
    if ours.size != theirs.size:
        raise Mismatch(f"{ours.size} numbers against {theirs.size}")
    return float(numpy.abs(ours - theirs).max() / max(numpy.abs(theirs).max(), 1e-30))


class Race:
    """What a run of comparisons needs, and its results."""

    def __init__(self, peer, ours, arguments):
        self.peer, self.ours, self.threads, self.seconds = peer, ours, arguments.threads, arguments.seconds
        self.filter = re.compile(arguments.benchmark_filter)
        self.rows = []

    def wanted(self, name):
        return self.filter.search(name) is not None

    def compare(self, name, pairs, bound):
        """pairs: what, our numbers, theirs. Raises Mismatch where they differ by more than the bound."""
        gaps = {what: difference(mine, theirs) for what, mine, theirs in pairs}
        worst = max(gaps, key=gaps.get)
        print(f"{name}: largest difference {gaps[worst]:.1e} ({worst})", file=sys.stderr)
        if not gaps[worst] <= bound:
            raise Mismatch(f"{name}: {worst} differs by {gaps[worst]:.1e} of its largest number, more than {bound:.0e}")

    def run(self, layer, pass_name, sizes, peers):
        """Times our case that stands ready, and peers: {what the peer calls its form: function}, in turns."""
        numbers = "/".join(map(str, sizes))
        mine = f"{layer}/own/{pass_name}/{numbers}/threads:{self.threads}"
        runners = {mine: self._time_ours}
        for form, function in peers.items():
            peer = f"{self.peer}:{layer}/{form}/{pass_name}/{numbers}/threads:{self.threads}"
            runners[peer] = lambda repeats, call=function: self._time_theirs(call, repeats)
        repeats, samples = {}, {}
        for name, runner in runners.items():
            runner(1)
            repeats[name] = max(1, int(2e6 / max(runner(1), 1)))
            samples[name] = []
        begin = time.perf_counter()
        for turn in range(201):
            if turn >= 3 and time.perf_counter() - begin > self.seconds:
                break
            for name, runner in runners.items():
                if self.threads > 1:
                    time.sleep(0.05)  # the other side's team has gone to sleep by then
                samples[name].append(runner(repeats[name]) / repeats[name])
        for name in runners:
            self._report(name, samples[name], samples[mine])

    def _time_ours(self, repeats):
        wall, processor = self.ours.time(repeats)
        return processor if self.threads == 1 else wall

    def _time_theirs(self, call, repeats):
        clock = time.process_time_ns if self.threads == 1 else time.perf_counter_ns
        start = clock()
        for _ in range(repeats):
            call()
        return clock() - start

    def _report(self, name, samples, ours):
        median, least = statistics.median(samples), min(samples)
        print(f"{name:75} {median / 1e3:12.2f} us, least {least / 1e3:12.2f}, "
              f"x {median / statistics.median(ours):7.2f} of ours", flush=True)
        self.rows.append({"name": name, "run_type": "iteration", "iterations": len(samples), "real_time": median,
                          "cpu_time": median, "time_unit": "ns"})

    def write(self, path, context):
        with open(path, "w") as file:
            json.dump({"context": context, "benchmarks": self.rows}, file, indent=1)


class Comparison:
    """One case: `inputs` go to our side by name, states where the sequence starts; `peers` are {form: function}, whose
    results are shaped as our `y`."""

    BOUND = 1e-4  # of differences: a float's

    def __init__(self, race, layer, pass_name, sizes):
        self.race, self.layer, self.pass_name, self.sizes = race, layer, pass_name, sizes
        self.name = f"{layer}/own/{pass_name}/{'/'.join(map(str, sizes))}/threads:{race.threads}"
        self.wanted = race.wanted(self.name)

    def prepare(self, inputs):
        ours = self.race.ours
        ours.make(f"{self.layer}/{self.pass_name}", self.sizes)
        states = {name for name in inputs if name.startswith("state.")}
        for name in inputs.keys() - states:
            ours.set(name, inputs[name])
        ours.start(self.race.threads)
        for name in states:
            ours.set(name, inputs[name])
        ours.time()

    def forward(self, inputs, peers):
        self.prepare(inputs)
        pairs = [(form, self.race.ours.get("y"), call()) for form, call in peers.items()]
        self.race.compare(self.name, pairs, self.BOUND)
        self.race.run(self.layer, self.pass_name, self.sizes, peers)
