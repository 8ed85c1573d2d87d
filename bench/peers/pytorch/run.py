#!/usr/bin/env python3
"""Compares PyTorch on this CPU with the library."""

import torch

import inference
import program
import updates


def run(race, _):
    torch.set_num_threads(race.threads)
    inference.run(race)
    updates.run(race)
    return {"pytorch": torch.__version__, "capability": torch.__config__.show()}


if __name__ == "__main__":
    program.main("PyTorch", __doc__, run)
