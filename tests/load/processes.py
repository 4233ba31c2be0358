"""Servers and clients as processes of their own, for what is run under load."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

TIMEOUT = 120
ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("DDPT_BIN", ROOT / "build/release/bin"))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(condition, what, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            if condition():
                return
        time.sleep(0.05)
    raise TimeoutError(what)


def say(what):
    print(f"==> {what}", file=sys.stderr, flush=True)


def start(program, *arguments, cores=None, **options):
    """A built program, on `cores` alone where they are given."""
    pin = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    return subprocess.Popen([BINARIES / program, *map(str, arguments)], preexec_fn=pin, **options)


class Server:
    """On ports that stay the same when it is started again."""

    def __init__(self, state, *flags, cores=None, environment=None):
        self.state = state
        self.port = free_port()
        self.metrics = free_port()
        self.flags = flags
        self.cores = cores
        self.environment = {**os.environ, **(environment or {})}
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = start("ddpt-server", "--state", self.state, "--listen", self.address, "--metrics-listen", f"127.0.0.1:{self.metrics}",
                             "--device", "cpu", "--log-level", "warn", *self.flags, cores=self.cores, env=self.environment)
        wait_for(lambda: self.get("/readyz"), f"server {self.port}")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}{path}", timeout=5) as answer:
            return answer.read().decode()

    def metric(self, family, label=""):
        """The sum of the family's samples whose labels include `label`."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith((family + "{", family + " ")) and label in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def status(self, field):
        """A number of /proc/PID/status: VmRSS in KiB, Threads."""
        if self.process.poll() is not None:
            raise ChildProcessError(f"the server has ended with {self.process.returncode}")
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def descriptors(self):
        """What each open descriptor is, for instance `socket:[1234]`."""
        found = []
        for entry in os.scandir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(entry.path))
        return found

    def stop(self, sent=signal.SIGTERM):
        self.process.send_signal(sent)
        return self.process.wait(timeout=TIMEOUT)

    def end(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)


def ddpt(target, *arguments):
    """What the command prints."""
    done = subprocess.run([BINARIES / "ddpt", "--server", target, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        say(done.stderr)
    done.check_returncode()
    return done.stdout


def import_random(target, directory, *tasks):
    """Denoisers of random weights, D = 10,240, under these names."""
    for seed, task in enumerate(tasks, 1):
        ddpt(target, "tasks", "random", f"{directory}/random.safetensors", "--context", 10, "--width", 1024, "--latent", 256, "--seed", seed)
        ddpt(target, "tasks", "import", task, f"{directory}/random.safetensors")


def write_examples(path, count=40):
    with open(path, "w") as examples:
        for i in range(count):
            examples.write(json.dumps({"instruction": f"add {i} to x", "code": f"x += {i}\n"}) + "\n")


def finish(report, faults):
    """Prints what came out; the exit status."""
    print(json.dumps({**report, "faults": faults}, indent=2))
    return 1 if faults else 0
