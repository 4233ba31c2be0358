#!/usr/bin/env python3
"""What a training job does to those who generate beside it, on the embedded model: time to the first token and between tokens of `ddpt generate`,
one request after the other, without a job and with one.

    interplay.py [--requests N] [--tokens N]

The same N requests (default 200) with each; times are those at the client, which starts anew for each request (some 20 ms on both sides). Also the
job's optimizer steps a second, alone and beside the requests. Run by ./dev bench interplay, with a server of its own. Python's standard library
only."""

import argparse
import os
import subprocess
import time
import urllib.request

import prompt_table as table


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def generate(instruction, tokens, first, gaps):
    """The end of the answer, a line break of the command's own, is no token."""
    times, chunk = [time.perf_counter()], b""
    with subprocess.Popen(["ddpt", "generate", instruction, "--max-new-tokens", str(tokens)], stdout=subprocess.PIPE) as process:
        while read := os.read(process.stdout.fileno(), 4096):
            times.append(time.perf_counter())
            chunk = read
    if chunk == b"\n":
        times.pop()
    waits = [later - earlier for earlier, later in zip(times, times[1:])]
    first += waits[:1]
    gaps += waits[1:]


def load(instructions, tokens):
    first, gaps = [], []
    for instruction in instructions:
        generate(instruction, tokens, first, gaps)
    return first, gaps


def steps():
    """Optimizer steps that the server has done; a job's own count is that of its last checkpoint."""
    with urllib.request.urlopen(f"http://{os.environ['DDPT_METRICS']}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("ddpt_train_steps_total"))


def steps_while(action):
    """Optimizer steps a second while the action runs, and what it returns."""
    before, began = steps(), time.perf_counter()
    result = action()
    return (steps() - before) / (time.perf_counter() - began), result


def print_row(name, first, gaps, rate):
    cells = [f"{1e3 * percentile(values, share):.1f}" for values in (first, gaps) for share in (0.5, 0.99)]
    print(f"| {name} | {' | '.join(cells)} | {rate} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    table.with_server()
    data = table.state() / "train.jsonl"
    data.write_text(subprocess.run(["ddpt-corpus", "--task", "conv", "--split", "train"], check=True, capture_output=True, text=True,
                                   cwd=table.ROOT).stdout)
    rows = table.read_lines(data.read_text())
    instructions = [rows[i % len(rows)]["instruction"] for i in range(options.requests)]
    load(instructions[:10], options.tokens)
    print("| | first token, ms, p50 | p99 | between tokens, ms, p50 | p99 | optimizer steps/s |\n|---|---|---|---|---|---|")
    without = load(instructions, options.tokens)
    print_row("without a job", *without, "–")
    job = table.read_lines(table.ddpt("--json", "train", "beside", "--data", data, "--operation-id", "beside", "--steps", 1_000_000))[0]["job_id"]
    while steps() == 0:
        time.sleep(0.1)
    alone, _ = steps_while(lambda: time.sleep(10))
    beside, with_job = steps_while(lambda: load(instructions, options.tokens))
    print_row("beside a job", *with_job, f"{beside:.1f} (alone {alone:.1f})")
    later = 1e3 * (percentile(with_job[0], 0.99) - percentile(without[0], 0.99))
    print(f"\np99: first token {later:+.1f} ms, between tokens {percentile(with_job[1], 0.99) / percentile(without[1], 0.99):.2f}x")
    table.ddpt("jobs", "cancel", job)


main()
