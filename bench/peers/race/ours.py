"""The library's side of a comparison: the program stepscan_cases, driven over its standard input and output."""

import subprocess

import numpy


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _ask(self, line, numbers=b""):
        self.process.stdin.write(line.encode() + b"\n" + numbers)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().split(None, 1)
        if not answer or answer[0] != "ok":
            raise RuntimeError(f"stepscan_cases: {line}: {answer[1].strip() if len(answer) > 1 else 'no answer'}")
        return answer[1].split() if len(answer) > 1 else []

    def instruction_set(self):
        return self._ask("isa")[0]

    def make(self, case, sizes):
        """case: "layer/pass"; sizes: batch, time and what the layer has."""
        self._ask(f"make {case}: " + " ".join(map(str, sizes)))

    def names(self):
        words = self._ask("names")
        return dict(zip(words[::2], map(int, words[1::2])))

    def set(self, name, numbers):
        flat = numpy.ascontiguousarray(numbers, dtype=numpy.float32).reshape(-1)
        self._ask(f"set {name} {flat.size}", flat.tobytes())

    def get(self, name):
        count = int(self._ask(f"get {name}")[0])
        return numpy.frombuffer(self.process.stdout.read(4 * count), dtype=numpy.float32)

    def start(self, threads):
        self._ask(f"threads {threads}")
        self._ask("start")

    def time(self, repeats=1):
        """Wall and processor time of so many runs together, in nanoseconds."""
        return [float(word) for word in self._ask(f"time {repeats}")]
