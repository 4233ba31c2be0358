"""What the benchmarks of prompts share: figures of a data set's examples under a kind of prompt, through the
ddpt command, kept in files; and their table, with 95 % intervals by paired bootstrap over the examples.

A cell is a file of one task under one kind of prompt and seed: {"rows": figures of each example, and where a prompt was
trained "cost": see trained}, or {"failed": the reason} where training failed.
"""

import fcntl
import json
import math
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
METHODS = {
    "prompt tuning": ("--method", "prompt_tuning"),
    "P-tuning": ("--method", "p_tuning"),
    "prefix tuning": ("--method", "prefix_tuning"),
    "BBT": ("--method", "bbt"),
    "GENERATOR": ("--method", "generator"),
    "DDPT": ("--method", "ddpt"),
    "GENERATOR, conditional": ("--method", "generator", "--conditional"),
    "DDPT, conditional": ("--method", "ddpt", "--conditional"),
}
CONDITIONAL = [kind for kind, flags in METHODS.items() if "--conditional" in flags]
RESAMPLES = 10_000
NANO = 1_000_000_000


def with_server():
    """Runs this program again beside a server of its own, unless there is one."""
    if "DDPT_SERVER" not in os.environ:
        os.execv(ROOT / "deploy/with-server", ["with-server", sys.executable, *sys.argv])


def state():
    return pathlib.Path(os.environ["STATE"])


class Failed(SystemExit):
    """A command's failure, which ends the program with what the command said unless it is caught."""


def ddpt(*arguments):
    done = subprocess.run(["ddpt", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"ddpt {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def read_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def corpus(task, split, skip=0):
    """The file of the examples of a split of a task of deploy/tiny, or of as many that follow those skipped."""
    path = state() / f"{task}.{split}.jsonl"
    if not path.exists():
        path.write_text(subprocess.run(["ddpt-corpus", "--task", task, "--split", split, "--skip", str(skip)], check=True,
                                       capture_output=True, text=True, cwd=ROOT).stdout)
    return path


def measure(examples, prompt, decoding=()):
    """NLL in nats, tokens, and counts of greedy code for BLEU-4, chrF and exact match, for each example of the file."""
    scores = read_lines(ddpt("score", "--examples", examples, *prompt))
    with tempfile.TemporaryDirectory() as folder:
        predictions, counts = pathlib.Path(folder, "predictions"), pathlib.Path(folder, "counts")
        predictions.write_text(ddpt("generate", "--examples", examples, *prompt, *decoding))
        ddpt("evaluate", "--predictions", predictions, "--references", examples, "--counts", counts)
        rows = read_lines(counts.read_text())
    return [row | {"nll": score["nll"] * score["tokens"], "tokens": score["tokens"]}
            for row, score in zip(rows, scores, strict=True)]


def name_of(*words):
    return "-".join(str(word).lower().replace(",", "").replace(" ", "-").replace(".", "-") for word in words)


def train(name, method, seed, *arguments):
    """Trains the task `name` with the flags `method` and returns the prompt flags that its examples are measured under."""
    ddpt("train", name, *method, "--seed", seed, "--promote", "always", "--watch", *arguments)
    return "--task", name, "--seed", "1", "--steps", "2000"


def evaluations(task, steps):
    """Prompts scored on a batch by the newest job of the task."""
    job = json.loads(ddpt("--json", "jobs", "list", "--task", task))["jobs"][0]["job_id"]
    events = read_lines(ddpt("--json", "jobs", "watch", job))
    return max((int(event["metrics"]["evaluations"]) for event in events if "evaluations" in event.get("metrics", {})),
               default=steps)


def trained(name, method, seed, steps, *arguments):
    """train, and what it cost: wall time, steps of the optimizer, and prompts scored on a batch (a gradient's are those that
    it was taken at; validation is not counted)."""
    start = time.monotonic()
    prompt = train(name, method, seed, "--steps", steps, *arguments)
    seconds = time.monotonic() - start
    return prompt, {"seconds": seconds, "steps": steps, "evaluations": evaluations(name, steps)}


def path_of(folder, task, kind, seed):
    return folder / f"{name_of(task, kind, seed)}.json"


def fill(folder, cells):
    """Measures the cells, (task, kind of prompt, seed, how), that have no file in the folder yet and that no other program
    is measuring: several may share a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, kind, seed, run in cells:
        path = path_of(folder, task, kind, seed)
        with path.with_suffix(".partial").open("a") as partial:
            try:
                fcntl.flock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if path.exists():
                pathlib.Path(partial.name).unlink(missing_ok=True)
                continue
            cell = run()
            partial.truncate(0)
            partial.write(json.dumps(cell))
            partial.flush()
            pathlib.Path(partial.name).rename(path)
        print(f"{task}, {kind}, seed {seed}: {cell.get('failed', 'done')}", file=sys.stderr, flush=True)


def bleu(sums):
    """Corpus BLEU-4 of summed counts: matches of orders 1 to 4, totals of orders 1 to 4, tokens of both."""
    matches, totals, (prediction, reference) = sums[:4], sums[4:8], sums[8:10]
    orders = [(m, t) for m, t in zip(matches, totals) if t]
    if not orders or not all(m for m, _ in orders):
        return 0.0
    mean = sum(math.log(m / t) for m, t in orders) / len(orders)
    return math.exp(mean + min(0.0, 1 - reference / prediction))


def chrf(sums):
    """Corpus chrF of summed counts: matches, n-grams of the predictions, n-grams of the references, of orders 1 to 6 each."""
    orders = [(m, p, r) for m, p, r in zip(sums[:6], sums[6:12], sums[12:18]) if p and r]
    precision, recall = sum(m / p for m, p, _ in orders), sum(m / r for m, _, r in orders)
    return 5 * precision * recall / (4 * precision + recall) / len(orders) if precision + recall else 0.0


FIELDS = 29  # of the counts of an example, 64 bits each


def packed(rows):
    """One integer an example, whose sums are the sums of all the fields."""
    result = []
    for row in rows:
        grams = row["chrf"]
        fields = [*row["matches"], *row["totals"], row["prediction_tokens"], row["reference_tokens"],
                  *grams["matches"], *grams["prediction"], *grams["reference"], round(row["nll"] * NANO)]
        result.append(int.from_bytes(struct.pack(f"<{FIELDS}Q", *fields), "little"))
    return result


def figures(total, examples, seeds):
    """(NLL an example, BLEU-4, chrF), means over the seeds, of the sum of packed examples."""
    values = struct.unpack(f"<{FIELDS * seeds}Q", total.to_bytes(8 * FIELDS * seeds, "little"))
    parts = [values[FIELDS * seed:FIELDS * (seed + 1)] for seed in range(seeds)]
    return (sum(part[28] for part in parts) / NANO / examples / seeds, sum(bleu(part) for part in parts) / seeds,
            sum(chrf(part[10:28]) for part in parts) / seeds)


class Row:
    """One kind of prompt on one task: figures over the examples and over each resample of them."""

    def __init__(self, by_seed, costs=()):
        self.seeds = len(by_seed)
        self.costs = costs
        columns = [packed(rows) for rows in by_seed]
        self.examples = len(columns[0])
        self.tokens = sum(row["tokens"] for row in by_seed[0])
        self.sums = [sum(column[i] << (64 * FIELDS * seed) for seed, column in enumerate(columns))
                     for i in range(self.examples)]
        self.figures = figures(sum(self.sums), self.examples, self.seeds)
        self.exact = sum(row["exact"] for rows in by_seed for row in rows) / self.seeds / self.examples

    def resample(self, draws):
        self.drawn = [figures(sum(map(self.sums.__getitem__, draw)), self.examples, self.seeds) for draw in draws]


def interval(values):
    values = sorted(values)
    return values[round(0.025 * (len(values) - 1))], values[round(0.975 * (len(values) - 1))]


NLL, BLEU, CHRF = range(3)  # places of a row's figures


def difference(ours, other, place):
    """How much `ours` is above `other`, with its interval."""
    value = ours.figures[place] - other.figures[place]
    low, high = interval([a[place] - b[place] for a, b in zip(ours.drawn, other.drawn, strict=True)])
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def resample(rows):
    """All rows with the same draws of their examples."""
    generator = random.Random(0)
    indices = range(next(iter(rows.values())).examples) if rows else range(0)
    draws = [generator.choices(indices, k=len(indices)) for _ in range(RESAMPLES)]
    for row in rows.values():
        row.resample(draws)


def read_rows(folder, task, kinds, seeds):
    """The rows of the cells that are there and did not fail, by kind, resampled."""
    rows = {}
    for kind in kinds:
        paths = [path_of(folder, task, kind, seed) for seed in range(seeds)]
        cells = [json.loads(path.read_text()) for path in paths if path.exists()]
        cells = [cell for cell in cells if "rows" in cell]
        if cells:
            rows[kind] = Row([cell["rows"] for cell in cells], [cell["cost"] for cell in cells if "cost" in cell])
    resample(rows)
    return rows


def print_lines(header, lines):
    for line in (header, ["---"] * len(header), *lines):
        print("| " + " | ".join(line) + " |" if line[0] != "---" else "|" + "---|" * len(line))


def share_of_gap(row, none, told):
    gap = none.figures[NLL] - told.figures[NLL]
    return f"{100 * (none.figures[NLL] - row.figures[NLL]) / gap:.1f} %" if gap > 0.01 else "–"


def print_table(rows):
    """All kinds against no prompt ("none") and the wording ("manual ...") that is best by the figure compared, and with
    "told" how much of the gap between it and none they close."""
    none, told = rows["none"], rows.get("told")
    manual = [kind for kind in rows if kind.startswith("manual")]
    by_nll = min(manual, key=lambda kind: rows[kind].figures[NLL])
    by_bleu, by_chrf = (max(manual, key=lambda kind: rows[kind].figures[place]) for place in (BLEU, CHRF))
    print(f"{none.examples} test examples of {none.tokens / none.examples:.1f} tokens; the best manual wording on them is "
          f"{by_nll[-1]} by NLL, {by_bleu[-1]} by BLEU-4 and {by_chrf[-1]} by chrF.\n")
    gap = ["of the gap"] if told else []
    print_lines(["Prompt", "seeds", "NLL", "BLEU-4", "chrF", "exact", *gap, "BLEU-4 above none", "NLL against best manual",
                 "BLEU-4 against best manual", "chrF against best manual"],
                ([kind, str(row.seeds) if kind in METHODS else "–", *(f"{value:.3f}" for value in (*row.figures, row.exact)),
                  *([share_of_gap(row, none, told)] if told else []), difference(row, none, BLEU),
                  difference(row, rows[by_nll], NLL), difference(row, rows[by_bleu], BLEU),
                  difference(row, rows[by_chrf], CHRF)] for kind, row in rows.items()))
    fixed = [kind for kind in METHODS if kind in rows and kind not in CONDITIONAL]
    for kind in CONDITIONAL:
        if kind in rows and fixed:
            best = min(fixed, key=lambda other: rows[other].figures[NLL])
            print(f"\n{kind} against {best}, the best fixed prompt: NLL {difference(rows[kind], rows[best], NLL)}, "
                  f"BLEU-4 {difference(rows[kind], rows[best], BLEU)}, chrF {difference(rows[kind], rows[best], CHRF)}.")
