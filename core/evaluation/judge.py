"""The process of the tests. Reads the task of descriptor 3, runs `check(candidate)`, where calling `candidate` asks the process of the
program over 5 and 4, and writes on 6 what came of it: the task's nonce after all checks, or the error."""
import builtins
import os
import sys
import traceback


class Program:
    """The process of the program. Where that breaks off or answers something else than a value or an exception, no code of the
    tests is asked any more whether it minds: the verdict is written at once."""

    def __init__(self):
        self.replies, self.requests = open(4, "rb"), open(5, "wb")

    def receive(self):
        try:
            reply = receive(self.replies)
            kind = reply[0]
            if kind == "value":
                return kind, (unpack(reply[1]), unpack(reply[2]))
            if kind == "raised":
                return kind, exception(str(reply[1]), str(reply[2]))
            if kind == "ready":
                return kind, None
            fail(str(reply[1]))
        except (EOFError, OSError):
            fail("the program ended before its tests did")
        except MemoryError:
            raise
        except Exception:
            fail("the program wrote something else than an answer")

    def call(self, name, arguments, keywords):
        try:
            send(self.requests, [name, pack(arguments), pack(keywords)])
        except Unfit as error:
            fail(str(error))
        except OSError:
            fail("the program ended before its tests did")
        kind, reply = self.receive()
        if kind == "raised":
            raise reply
        value, after = reply
        for mine, theirs in zip(arguments, after):
            change(mine, theirs)
        return value


class ProgramError(Exception):
    """What the program raised, where that is none of Python's own exceptions."""


def exception(name, message):
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            return known(message)
        except TypeError:
            pass
    return ProgramError(f"{name}: {message}")


def change(mine, theirs):
    """What the program did to an argument in its place."""
    if type(mine) is not type(theirs) or mine == theirs:
        return
    if isinstance(mine, list):
        mine[:] = theirs
    elif isinstance(mine, (dict, set)):
        mine.clear()
        mine.update(theirs)


def verdict(message):
    with open(6, "wb") as stream:
        send(stream, message)
    os._exit(0)


def fail(message):
    verdict({"error": message[:2000]})


def last_line(error, test):
    line = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<test>"]
    if not frames or not isinstance(error, AssertionError):
        return line
    return f"{line}, line {frames[-1].lineno} of the test: {test.splitlines()[frames[-1].lineno - 1].strip()}"


def run_prompt(prompt, space):
    """Helpers and imports of the prompt are the tests' to use, from here and not from the program. A prompt whose last function has
    no body yet has none to give."""
    try:
        exec(compile(prompt, "<prompt>", "exec"), space)
    except SyntaxError:
        pass


def main():
    sys.set_int_max_str_digits(0)
    with open(3, "rb") as file:
        task = json.loads(file.read())
    program = Program()
    kind, error = program.receive()
    if kind == "raised":
        fail(last_line(error, ""))
    space = {"__name__": "test"}
    try:
        run_prompt(task["prompt"], space)
        exec(compile(task["test"], "<test>", "exec"), space)
        space["check"](lambda *arguments, **keywords: program.call(task["entry_point"], arguments, keywords))
    except BaseException as error:
        fail(last_line(error, task["test"]))
    verdict({"nonce": task["nonce"]})


main()
