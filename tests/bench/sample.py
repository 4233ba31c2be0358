#!/usr/bin/env python3
"""Compares `ddpt bench sample` with the eager full-space loop, alternating, and prints the ratios.

    sample.py [--bin DIR] [--rounds N] [--batch B...] [--threads N...] [--latent H...]
              [--dtype float32|bfloat16...] [--sampler S...] [--steps S] [--width D] [--peer-threads N]
              [--torch-python PYTHON] [--device cpu|cuda:N] [--out FILE]

Options that take several values give a line of the table for each combination. DIR holds the binaries
`ddpt` and `eager-sample`. Both sides run on the same denoiser (random weights, seed 0) from the same
x_T. Each round runs one and then the other, so that a busy machine slows both; the figures are the
medians over all rounds. The peer knows DDIM, eta 0; other samplers of ours are compared with it too,
as to time alone. With --torch-python the loop also runs in that Python's PyTorch. "of limit" is the
share of what this machine's reads or multiply-adds, measured in the same run, allow; "of mm" that of
LibTorch's best product of two matrices of 1536 x 1536 on the peer's threads. Prints a table, then one
line of JSON; exit code 1 when a peer's prompts differ from ours by more than 1e-3 of their largest
element, 5e-2 in bfloat16. With --device cuda:N both sides run on that GPU; the peer is then the
loop in --torch-python's PyTorch alone, the product is one of 8192 x 8192 in our dtype, and no
other limit is measured. Python's standard library only.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
HERE = pathlib.Path(__file__).resolve().parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default=HERE.parent.parent / "build/release/bin", type=pathlib.Path)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--batch", default=[1], type=int, nargs="+")
    parser.add_argument("--threads", default=[2], type=int, nargs="+", help="of ours")
    parser.add_argument("--latent", default=[256], type=int, nargs="+")
    parser.add_argument("--dtype", default=["float32"], choices=TOLERANCE, nargs="+", help="of our weights")
    parser.add_argument("--sampler", default=["ddim"], nargs="+",
                        choices=["ddim", "ancestral", "dpm_solver_pp_2m"], help="ours")
    parser.add_argument("--peer-threads", default=2, type=int)
    parser.add_argument("--steps", default=2000, type=int)
    parser.add_argument("--width", default=10240, type=int, help="D = n w, with n = 10")
    parser.add_argument("--torch-python", help="interpreter with PyTorch")
    parser.add_argument("--device", default="cpu", help="of both sides")
    parser.add_argument("--out", type=pathlib.Path, help="also writes the JSON to this file")
    options = parser.parse_args()
    if options.device != "cpu":
        if not options.torch_python:
            parser.error("--device cuda:N needs --torch-python")
        options.threads = [1]
    return options


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Contest:
    """One line of the table."""

    def __init__(self, options, case, folder):
        self.options = options
        self.batch, self.threads, self.latent, self.dtype, self.sampler = case
        self.denoiser = os.path.join(folder, f"denoiser-{self.latent}.safetensors")
        self.bench = os.path.join(folder, "bench.safetensors")
        self.reports = {}
        run(options.bin / "ddpt", "tasks", "random", self.denoiser, "--context", 10, "--width",
            options.width // 10, "--latent", self.latent, "--seed", 0, "--json")

    def ours(self, sampler, *more):
        return run(self.options.bin / "ddpt", "bench", "sample", "--denoiser", self.denoiser, "--steps",
                   self.options.steps, "--batch", self.batch, "--threads", self.threads, "--dtype",
                   self.dtype, "--sampler", sampler, "--device", self.options.device, "--json", *more)

    def peer(self, *program):
        return run(*program, self.denoiser, self.bench, self.options.peer_threads, 1, self.options.device)

    def play(self):
        contenders = {"ddpt": lambda: self.ours(self.sampler, "--runs", 5)}
        if self.options.device == "cpu":
            contenders["eager LibTorch"] = lambda: self.peer(self.options.bin / "eager-sample")
        if self.options.torch_python:
            script = HERE / "eager_sample.py"
            contenders["eager PyTorch"] = lambda: self.peer(self.options.torch_python, script)
        self.ours("ddim", "--runs", 1, "--write", self.bench)
        for turn in range(self.options.rounds):
            for name, contender in contenders.items():
                print(f"batch {self.batch}, h = {self.latent}, {self.threads} threads, {self.dtype}, "
                      f"{self.sampler}, round {turn + 1}/{self.options.rounds}: {name}", file=sys.stderr)
                self.reports.setdefault(name, []).append(contender())

    def result(self):
        def median(key, name="ddpt"):
            return statistics.median(report[key] for report in self.reports[name])

        ours = median("median_seconds")
        name = "matrix_product_flop_per_second"
        if self.options.device != "cpu" and self.dtype == "bfloat16":
            name = "bfloat16_" + name
        product = max(r[name] for r in self.reports[list(self.reports)[1]])
        result = {"batch": self.batch, "threads": self.threads, "latent": self.latent,
                  "dtype": self.dtype, "sampler": self.sampler, "steps": self.options.steps,
                  "width": self.options.width, "rounds": self.options.rounds, "device": self.options.device,
                  "kernels": self.reports["ddpt"][0]["kernels"], "median_seconds": ours,
                  "prompts_per_second": self.batch / ours,
                  "share_of_matrix_product": median("flop_per_second") / product, "peers": {}}
        if "bound" in self.reports["ddpt"][0]:
            result |= {"bound": self.reports["ddpt"][0]["bound"], "share_of_peak": median("share_of_peak")}
        for name in list(self.reports)[1:]:
            seconds = median("median_seconds", name)
            result["peers"][name] = {
                "median_seconds": seconds, "threads": self.options.peer_threads, "ratio": seconds / ours,
                "max_relative_difference": max(r["max_relative_difference"] for r in self.reports[name])}
        return result


def print_row(result):
    row = (f"{result['batch']:>6}{result['latent']:>6}{result['threads']:>8}  {result['dtype']:9}"
           f"{result['sampler']:17}{1e3 * result['median_seconds']:>10.2f}{result['prompts_per_second']:>11.1f}"
           + (f"{100 * result['share_of_peak']:>6.0f} % {result['bound']:9}" if "bound" in result
              else f"{'':18}") +
           f"{100 * result['share_of_matrix_product']:>5.0f} %")
    for peer in result["peers"].values():
        row += f"{1e3 * peer['median_seconds']:>12.0f}{peer['ratio']:>8.1f}{peer['max_relative_difference']:>10.1e}"
    print(row, flush=True)


def main():
    options = parse()
    results = []
    where = f"{options.peer_threads} threads" if options.device == "cpu" else options.device
    print(f"D = {options.width}, {options.steps} steps; peer: eager full-space DDIM loop on {where}; "
          f"medians of {options.rounds} rounds")
    print(f"{'batch':>6}{'h':>6}{'threads':>8}  {'dtype':9}{'sampler':17}{'ms':>10}{'prompts/s':>11}"
          f"{'of limit':>18}{'of mm':>7}" + f"{'peer ms':>12}{'ratio':>8}{'diff.':>10}" *
          (2 if options.torch_python and options.device == "cpu" else 1), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for case in itertools.product(options.batch, options.threads, options.latent, options.dtype,
                                      options.sampler):
            contest = Contest(options, case, folder)
            contest.play()
            results.append(contest.result())
            print_row(results[-1])
    print(json.dumps(results))
    if options.out:
        options.out.write_text(json.dumps(results) + "\n")
    for result in results:
        worst = max(peer["max_relative_difference"] for peer in result["peers"].values())
        if not worst <= TOLERANCE[result["dtype"]]:
            sys.exit(f"batch {result['batch']}, h = {result['latent']}: the prompts differ by {worst:.2e}, "
                     f"more than {TOLERANCE[result['dtype']]:.0e}")


if __name__ == "__main__":
    main()
