#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/evaluation/sandbox.h"

namespace ddpt {

enum class Outcome {
  kPassed,
  kFailed,    // a check, an exception, a syntax error, an end before that of the tests
  kTimedOut,  // the clock's limit, or the processor's
  kMemory,    // the limit of memory
  kOutput,    // printed more than the limit
  kKilled,    // ended by a signal
  kRefused,   // the system denied the sandbox; the program did not run
};
// "passed", "failed", "timed_out", "memory", "output", "killed", "refused".
std::string_view OutcomeName(Outcome outcome);

// A program in Python and the tests of one function of it, in the form of HumanEval: `test` defines
// `check(candidate)`, which raises an exception where the function does not do as it should.
struct Trial {
  std::string program;
  std::string entry_point;
  std::string test;
  std::string prompt = {};  // its imports and helpers are there for `test`, if it is whole Python
};

struct Verdict {
  Outcome outcome = Outcome::kRefused;
  std::string detail = {};  // but for kPassed: the last line of the error, or what happened
  std::string output = {};  // what program and tests printed, up to the limit
  double seconds = 0;       // by the clock, from the start of the processes to their end
};

// Runs programs that nobody has read, each with its tests, in two sandboxes: the program in one,
// the tests in the other. Calls of `candidate` and their results travel between them.
//
// What that promises: expected values, the text of the tests and the nonce that the tests' process
// writes at their end are never in the memory or the reach of the program. It passes only by
// answering all calls as the tests want, whatever it does to its own interpreter, and not by ending
// early, by values that claim to be equal to everything, nor by writing to any of its descriptors.
//
// What it costs: arguments and results must be made of None, bool, int, float, complex, str, bytes,
// list, tuple, set, frozenset and dict (of subclasses of these the content travels); another one
// is a failure that says so. Exceptions of Python's own arrive as themselves, others as one of
// another type. What a call changes inside a list, dict or set that was an argument arrives; that
// two values are the same object does not. With `unsafe` the two are processes of one user, and a
// program that looks for the other can find it.
//
// Immutable and thread-safe: Run may be called in several threads at once.
class Judge {
 public:
  // Tries an empty program. FAILED_PRECONDITION where there is no Python, or where the system
  // denies namespaces: says which step it denied.
  static absl::StatusOr<Judge> Create(SandboxOptions options);

  // Blocks until the verdict, no longer than the clock's limit and the moment that the system takes
  // to end what ran. Nothing of the program is left then: no process, no file.
  Verdict Run(const Trial& trial) const;

 private:
  explicit Judge(SandboxOptions options) : options_(std::move(options)) {}

  SandboxOptions options_;
};

// Runs all trials, `threads` (at least 1) at a time, and returns their verdicts in the same order.
// `on_verdict` is called after each with how many there are by then, by one thread at a time.
std::vector<Verdict> RunTrials(const Judge& judge, std::span<const Trial> trials, size_t threads,
                               const std::function<void(size_t)>& on_verdict = {});

}  // namespace ddpt
