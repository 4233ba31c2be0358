#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "client/client.h"

namespace ddpt {

// Which deployment is checked, and how far.
struct CheckOptions {
  Client::Options connection;  // `retry` is not used: every request is made once
  std::string task;            // a task without conditions; "": the first such one
  std::string metrics;         // HOST:PORT; "": what needs them is skipped
  size_t overload = 0;         // requests at once, 1..4096; 0: not
  pid_t drain = 0;             // the server's process on this machine, ended by SIGTERM; 0: not
  std::chrono::milliseconds load{2000};      // how long replay is checked under load
  std::chrono::milliseconds patience{5000};  // for what is to happen soon
};

struct CheckResult {
  enum class Outcome { kPassed, kFailed, kSkipped };
  std::string name;  // "health", "limits", ...
  Outcome outcome = Outcome::kPassed;
  std::string detail;  // what was seen, in one line
  double seconds = 0;
};

// Whether a deployment keeps what a DDPT server promises: health tells the truth, bad requests are
// refused with their field and do no harm, deadlines and cancellation are kept, a prompt's id gives
// its bytes again, also under load, a prompt has an effect, streams are whole, metrics are sound,
// overload is refused with a time to come back, and a server that stops loses nothing. Leaves
// nothing behind on the server but counts. Blocks, some ten seconds; `on_result` hears each result.
// Where the server cannot be reached there is one result, a failed one.
std::vector<CheckResult> RunChecks(const CheckOptions& options,
                                   const std::function<void(const CheckResult&)>& on_result);

}  // namespace ddpt
