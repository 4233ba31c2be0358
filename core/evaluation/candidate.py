"""The process of the program under test. Runs the program of descriptor 3, tells on 5 whether that went well, and then answers the
calls of functions that come on 4. It knows neither tests nor nonce: nothing that the program finds here makes it pass."""
import os
import sys


def refusal(error):
    message = error.args[0] if len(error.args) == 1 else error
    return ["raised", type(error).__name__, str(message)[:2000]]


def answer(space, name, arguments, keywords):
    try:
        arguments, keywords = unpack(arguments), unpack(keywords)
        value = space[name](*arguments, **keywords)
        return ["value", pack(value), pack(arguments)]
    except Unfit as error:
        return ["unfit", str(error)]
    except BaseException as error:
        return refusal(error)


def main():
    sys.set_int_max_str_digits(0)
    requests, replies = open(4, "rb"), open(5, "wb")
    with open(3, "rb") as file:
        source = file.read().decode()
    program = type(sys)("program")
    sys.modules["program"] = program
    try:
        exec(compile(source, "<program>", "exec"), program.__dict__)
        send(replies, ["ready"])
    except BaseException as error:
        send(replies, refusal(error))
        return
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        try:
            send(replies, answer(program.__dict__, *request))
        except Unfit as error:
            send(replies, ["unfit", str(error)])


main()
os._exit(0)
