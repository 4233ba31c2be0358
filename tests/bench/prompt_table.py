"""What the benchmarks of prompts share: figures of a data set's examples under a kind of prompt, through the
ddpt command, kept in files; and their table, with 95 % intervals by paired bootstrap over the examples."""

import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
METHODS = {
    "prompt tuning": ("--method", "prompt_tuning"),
    "GENERATOR": ("--method", "generator"),
    "DDPT": ("--method", "ddpt"),
    "GENERATOR, conditional": ("--method", "generator", "--conditional"),
    "DDPT, conditional": ("--method", "ddpt", "--conditional"),
}
FIXED = list(METHODS)[:3]
RESAMPLES = 10_000
NANO = 1_000_000_000


def with_server():
    """Runs this program again beside a server of its own, unless there is one."""
    if "DDPT_SERVER" not in os.environ:
        os.execv(ROOT / "deploy/with-server", ["with-server", sys.executable, *sys.argv])


def state():
    return pathlib.Path(os.environ["STATE"])


def ddpt(*arguments):
    done = subprocess.run(["ddpt", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"ddpt {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def read_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def corpus(task, split, *skips):
    """The file of the examples of a task of deploy/tiny: of the whole split, or for each of `skips` as many after those skipped."""
    path = state() / f"{task}.{split}.jsonl"
    if not path.exists():
        path.write_text("".join(
            subprocess.run(["ddpt-corpus", "--task", task, "--split", split, "--skip", str(skip)], check=True,
                           capture_output=True, text=True, cwd=ROOT).stdout for skip in skips or (0,)))
    return path


def measure(examples, prompt, decoding=()):
    """NLL in nats, tokens, and n-gram counts of greedy code, for each example of the file."""
    scores = read_lines(ddpt("score", "--examples", examples, *prompt))
    with tempfile.TemporaryDirectory() as folder:
        predictions, counts = pathlib.Path(folder, "predictions"), pathlib.Path(folder, "counts")
        predictions.write_text(ddpt("generate", "--examples", examples, *prompt, *decoding))
        ddpt("evaluate", "--predictions", predictions, "--references", examples, "--counts", counts)
        rows = read_lines(counts.read_text())
    return [row | {"nll": score["nll"] * score["tokens"], "tokens": score["tokens"]}
            for row, score in zip(rows, scores, strict=True)]


def name_of(*words):
    return "-".join(str(word).lower().replace(",", "").replace(" ", "-") for word in words)


def train(name, method, seed, *arguments):
    """Trains the task `name` with the flags `method` and returns the prompt flags that its examples are measured under."""
    ddpt("train", name, *method, "--seed", seed, "--promote", "always", "--watch", *arguments)
    return "--task", name, "--seed", "1", "--steps", "2000"


def path_of(folder, task, kind, seed):
    return folder / f"{name_of(task, kind, seed)}.json"


def fill(folder, cells):
    """Measures the cells, (task, kind of prompt, seed, how), that have no file in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, kind, seed, run in cells:
        path = path_of(folder, task, kind, seed)
        if path.exists():
            continue
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(run()))
        partial.rename(path)
        print(f"{task}, {kind}, seed {seed}: done", file=sys.stderr, flush=True)


def bleu(sums):
    """Corpus BLEU-4 of summed counts: matches of orders 1 to 4, totals of orders 1 to 4, tokens of both."""
    matches, totals, (prediction, reference) = sums[:4], sums[4:8], sums[8:10]
    orders = [(m, t) for m, t in zip(matches, totals) if t]
    if not orders or not all(m for m, _ in orders):
        return 0.0
    mean = sum(math.log(m / t) for m, t in orders) / len(orders)
    return math.exp(mean + min(0.0, 1 - reference / prediction))


def data_cells(task, examples, wordings, seeds, *training, decoding=()):
    """Cells of a data set: no prompt, wordings ("manual 1", ...) and prompts of a fixed text trained with the flags `training`."""
    yield task, "none", 0, lambda: measure(examples, (), decoding)
    for number, words in enumerate(wordings, 1):
        yield task, f"manual {number}", 0, lambda: measure(examples, ("--prompt-text", words), decoding)
    for seed in range(seeds):
        for method in FIXED:
            yield task, method, seed, lambda: measure(
                examples, train(name_of(task, method, seed), METHODS[method], seed, *training), decoding)


def data_kinds(wordings):
    """The kinds of prompt that data_cells measures."""
    return ["none", *(f"manual {number}" for number in range(1, len(wordings) + 1)), *FIXED]


FIELDS = 11
BITS = 64


def packed(rows):
    """One integer an example, whose sums are the sums of all the fields."""
    result = []
    for row in rows:
        fields = row["matches"] + row["totals"] + [row["prediction_tokens"], row["reference_tokens"],
                                                   round(row["nll"] * NANO)]
        result.append(sum(value << (BITS * place) for place, value in enumerate(fields)))
    return result


def figures(total, examples, seeds):
    """(NLL an example, BLEU-4), means over the seeds, of the sum of packed examples."""
    mask = (1 << BITS) - 1
    values = [(total >> (BITS * place)) & mask for place in range(FIELDS * seeds)]
    parts = [values[FIELDS * seed:FIELDS * (seed + 1)] for seed in range(seeds)]
    return (sum(part[10] for part in parts) / NANO / examples / seeds, sum(bleu(part) for part in parts) / seeds)


class Row:
    """One kind of prompt on one task: figures over the examples and over each resample of them."""

    def __init__(self, by_seed):
        self.seeds = len(by_seed)
        columns = [packed(rows) for rows in by_seed]
        self.examples = len(columns[0])
        self.tokens = sum(row["tokens"] for row in by_seed[0])
        self.sums = [sum(column[i] << (BITS * FIELDS * seed) for seed, column in enumerate(columns))
                     for i in range(self.examples)]
        self.nll, self.bleu = figures(sum(self.sums), self.examples, self.seeds)
        self.exact = sum(row["exact"] for rows in by_seed for row in rows) / self.seeds / self.examples

    def resample(self, draws):
        self.drawn = [figures(sum(map(self.sums.__getitem__, draw)), self.examples, self.seeds) for draw in draws]


def interval(values):
    values = sorted(values)
    return values[round(0.025 * (len(values) - 1))], values[round(0.975 * (len(values) - 1))]


def difference(ours, other, place):
    """How much `ours` is above `other`, with its interval."""
    value = (ours.nll - other.nll, ours.bleu - other.bleu)[place]
    low, high = interval([a[place] - b[place] for a, b in zip(ours.drawn, other.drawn, strict=True)])
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def read_rows(folder, task, kinds, seeds, examples=slice(None)):
    """The rows of the cells that are there, by kind, of the given examples, resampled with the same draws."""
    rows = {}
    for kind in kinds:
        paths = [path_of(folder, task, kind, seed) for seed in range(seeds)]
        by_seed = [json.loads(path.read_text())[examples] for path in paths if path.exists()]
        if by_seed:
            rows[kind] = Row(by_seed)
    generator = random.Random(0)
    indices = range(next(iter(rows.values())).examples) if rows else range(0)
    draws = [generator.choices(indices, k=len(indices)) for _ in range(RESAMPLES)]
    for row in rows.values():
        row.resample(draws)
    return rows


def print_table(rows):
    """All kinds against no prompt ("none") and the wording ("manual ...") that is best by the figure compared, and with
    "told" how much of the gap between it and none they close."""
    none, told = rows["none"], rows.get("told")
    manual = [kind for kind in rows if kind.startswith("manual")]
    by_nll, by_bleu = min(manual, key=lambda kind: rows[kind].nll), max(manual, key=lambda kind: rows[kind].bleu)
    print(f"{none.examples} test examples of {none.tokens / none.examples:.1f} tokens; the best manual wording on them is "
          f"{by_nll[-1]} by NLL and {by_bleu[-1]} by BLEU-4.\n")
    print("| Prompt | seeds | NLL | BLEU-4 | exact | of the gap | BLEU-4 above none | NLL against best manual | BLEU-4 against best manual |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, row in rows.items():
        gap = none.nll - told.nll if told else 0
        share = f"{100 * (none.nll - row.nll) / gap:.1f} %" if gap > 0.01 else "–"
        print(f"| {kind} | {row.seeds if kind in METHODS else '–'} | {row.nll:.3f} | {row.bleu:.3f} | {row.exact:.3f} | {share} | "
              f"{difference(row, none, 1)} | {difference(row, rows[by_nll], 0)} | {difference(row, rows[by_bleu], 1)} |")
    fixed = [kind for kind in FIXED if kind in rows]
    for kind in METHODS:
        if kind in rows and kind not in FIXED and fixed:
            best = min(fixed, key=lambda other: rows[other].nll)
            print(f"\n{kind} against {best}, the best fixed prompt: NLL {difference(rows[kind], rows[best], 0)}, "
                  f"BLEU-4 {difference(rows[kind], rows[best], 1)}.")
