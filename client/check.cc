#include "client/check.h"

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/bad_calls.h"
#include "client/http_get.h"
#include "client/load.h"
#include "client/metrics_lint.h"
#include "client/pages.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"

namespace ddpt {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using std::chrono::milliseconds;

constexpr char kInstruction[] = "return the sum of a list";
constexpr uint64_t kSeed = 7;
constexpr uint32_t kBehindTheInstruction = 64;  // positions
constexpr size_t kMostNamed = 3;                // faults in a detail
// A refusal costs no work, so it comes within this.
constexpr Seconds kAtOnce{1};

using Outcome = CheckResult::Outcome;
struct Verdict {
  Outcome outcome = Outcome::kPassed;
  std::string detail;
};

template <typename... Words>
Verdict Pass(const Words&... words) {
  return {Outcome::kPassed, absl::StrCat(words...)};
}
template <typename... Words>
Verdict Fail(const Words&... words) {
  return {Outcome::kFailed, absl::StrCat(words...)};
}
Verdict Skip(std::string why) { return {Outcome::kSkipped, std::move(why)}; }

std::string Words(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

class Checker {
 public:
  Checker(const CheckOptions& options, Client& client) : options_(options), client_(client) {}

  // The task that is checked with.
  absl::Status Choose();

  Verdict Health();
  Verdict Limits();
  Verdict Deadline();
  Verdict Replay();
  Verdict ReplayUnderLoad();
  Verdict PromptEffect();
  Verdict Stream();
  Verdict Cancel();
  Verdict Metrics();
  Verdict Overload();
  Verdict Drain();

 private:
  v1::SampleRequest SampleOf(uint64_t seed, uint32_t steps) const;
  v1::GenerateRequest Generation(uint32_t tokens) const;
  // Whether the bytes of a prompt come again by its id.
  Verdict CheckReplay(uint64_t seed) const;
  absl::StatusOr<double> Running(const std::string& rpc) const;
  // Asks until it is so, or for `options.patience`.
  bool Becomes(const std::function<bool()>& so) const;
  std::unique_ptr<Client> Another(milliseconds deadline) const;

  const CheckOptions& options_;
  Client& client_;
  std::string task_;
  uint32_t most_steps_ = 1;
  uint32_t positions_ = 0;  // of the base model; 0: there is none
};

absl::Status Checker::Choose() {
  const auto model = client_.GetModel();
  if (model.ok()) positions_ = model->max_positions();
  v1::ListTasksRequest list;
  list.set_page_size(1000);
  DDPT_ASSIGN_OR_RETURN(const v1::ListTasksResponse tasks,
                        AllPages(client_, list, &Client::ListTasks));
  for (const v1::TaskInfo& task : tasks.tasks()) {
    if (!options_.task.empty() && task.task() != options_.task) continue;
    for (const v1::TaskVersion& version : task.versions()) {
      if (version.version() != task.active_version() || version.condition_width() > 0) continue;
      task_ = task.task();
      most_steps_ = version.train_steps();
      return absl::OkStatus();
    }
  }
  const std::string wanted = options_.task.empty() ? "" : absl::StrCat("\"", options_.task, "\": ");
  return FieldError("task", wanted + "the server has no such active task without conditions");
}

v1::SampleRequest Checker::SampleOf(uint64_t seed, uint32_t steps) const {
  v1::SampleRequest request;
  request.set_task(task_);
  request.mutable_sampling()->set_seed(seed);
  request.mutable_sampling()->set_steps(std::min(steps, most_steps_));
  return request;
}

v1::GenerateRequest Checker::Generation(uint32_t tokens) const {
  v1::GenerateRequest request;
  request.set_instruction(kInstruction);
  request.mutable_prompt()->set_task(task_);
  request.mutable_decoding()->set_max_new_tokens(tokens);
  return request;
}

Verdict Checker::Health() {
  const auto whole = client_.IsServing("");
  if (!whole.ok()) return Fail("the server's health: ", Words(whole.status()));
  const auto task = client_.IsServing(task_);
  if (!task.ok()) return Fail("the health of ", task_, ": ", Words(task.status()));
  const auto nobody = client_.IsServing("no-such-task");
  if (!absl::IsNotFound(nobody.status())) {
    return Fail("the health of a task that is not there is ",
                nobody.ok() ? "known" : Words(nobody.status()));
  }
  const absl::Status answer = client_.Sample(SampleOf(kSeed, 2)).status();
  if (*whole && *task && !answer.ok()) {
    return Fail("it says that it serves, but does not: ", Words(answer));
  }
  if (!*whole || !*task) {
    return Fail(*whole ? task_ : "the server", " is NOT_SERVING",
                answer.ok() ? ", but serves" : "");
  }
  if (options_.metrics.empty()) return Pass("it and ", task_, " serve");
  for (const char* path : {"/healthz", "/readyz"}) {
    const auto page = HttpGet(options_.metrics, path, options_.patience);
    if (!page.ok()) return Fail(path, ": ", Words(page.status()));
  }
  return Pass("it and ", task_, " serve; /healthz and /readyz agree");
}

Verdict Checker::Limits() {
  std::vector<std::string> faults;
  const std::vector<BadCall> calls = BadCalls(task_, positions_ > 0);
  for (const BadCall& bad : calls) {
    const Clock::time_point start = Clock::now();
    const absl::Status status = bad.call(client_);
    const Seconds time = Clock::now() - start;
    const std::string field = FieldOf(status);
    if (status.code() != bad.code) {
      faults.push_back(absl::StrCat(bad.what, ": ", Words(status)));
    } else if (!bad.field.empty() && field.rfind(bad.field, 0) != 0) {
      faults.push_back(
          absl::StrCat(bad.what, ": the refusal names \"", field, "\", not ", bad.field));
    } else if (time > kAtOnce) {
      faults.push_back(absl::StrFormat("%s: refused after %.1f s", bad.what, time.count()));
    }
  }
  const absl::Status after = client_.Sample(SampleOf(kSeed, 2)).status();
  if (!after.ok()) faults.push_back(absl::StrCat("a good request after them: ", Words(after)));
  if (faults.empty()) return Pass(calls.size(), " bad requests refused, each with its field");
  const size_t named = std::min(faults.size(), kMostNamed);
  return Fail(absl::StrJoin(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(named), "; "));
}

Verdict Checker::Deadline() {
  v1::SampleRequest request = SampleOf(kSeed, 2000);
  request.set_count(16);
  const Clock::time_point start = Clock::now();
  const absl::Status status = Another(milliseconds(1))->Sample(request).status();
  const Seconds time = Clock::now() - start;
  if (status.ok()) return Pass("16 prompts came within a millisecond");
  if (!absl::IsDeadlineExceeded(status)) {
    return Fail("16 prompts within a millisecond: ", Words(status));
  }
  if (time > kAtOnce) return Fail(absl::StrFormat("it was kept after %.1f s", time.count()));
  return Pass("a millisecond was kept");
}

Verdict Checker::CheckReplay(uint64_t seed) const {
  const auto drawn = client_.Sample(SampleOf(seed, 50));
  if (!drawn.ok()) return Fail(Words(drawn.status()));
  if (drawn->prompts_size() != 1 || drawn->prompts(0).prompt_id().empty()) {
    return Fail("a prompt without an id");
  }
  v1::ReplayRequest request;
  request.set_prompt_id(drawn->prompts(0).prompt_id());
  request.set_require_exact(true);
  const auto again = client_.Replay(request);
  if (!again.ok()) return Fail("Replay: ", Words(again.status()));
  if (again->prompts_size() == 1 &&
      again->prompts(0).embedding().data() == drawn->prompts(0).embedding().data()) {
    return Pass("the id gave the prompt's ", drawn->prompts(0).embedding().data().size(), " bytes");
  }
  return Fail("the id of seed ", seed, " gave other bytes");
}

Verdict Checker::Replay() { return CheckReplay(kSeed); }

Verdict Checker::ReplayUnderLoad() {
  LoadOptions load;
  load.connection = options_.connection;
  load.tasks = {task_};
  for (const uint32_t steps : {10, 50, 200}) load.steps.push_back(std::min(steps, most_steps_));
  load.clients = 8;
  load.duration = options_.load;
  absl::StatusOr<LoadResult> loaded;
  std::thread others([&] { loaded = RunLoad(load); });
  Verdict verdict = Pass();
  for (uint64_t seed = 0; seed < 16 && verdict.outcome == Outcome::kPassed; ++seed) {
    verdict = CheckReplay(1000 + seed);
  }
  others.join();
  if (verdict.outcome != Outcome::kPassed) return verdict;
  if (!loaded.ok()) return Fail(Words(loaded.status()));
  if (loaded->mismatches > 0) {
    return Fail(loaded->mismatches, " of ", loaded->ok, " prompts differ from those of their seed");
  }
  return Pass("16 ids gave their bytes among ", loaded->ok, " prompts of 8 clients");
}

Verdict Checker::PromptEffect() {
  if (positions_ == 0) return Skip("the server has no base model");
  v1::ScoreRequest request;
  request.set_instruction(kInstruction);
  request.set_code("def f(x):\n    return sum(x)\n");
  request.mutable_prompt()->set_task(task_);
  request.mutable_sampling()->set_seed(kSeed);
  const auto with = client_.Score(request);
  request.clear_prompt();
  const auto without = client_.Score(request);
  if (!with.ok() || !without.ok()) {
    return Fail("Score: ", Words(with.ok() ? without.status() : with.status()));
  }
  const double change = std::abs(with->nll() - without->nll());
  if (!(change > 1e-6)) {
    return Fail("the prompt of ", task_, " changes nothing: ", with->nll(), " nats a token");
  }
  return Pass(absl::StrFormat("%s changes a code by %.3f nats a token", task_, change));
}

Verdict Checker::Stream() {
  if (positions_ == 0) return Skip("the server has no base model");
  std::string text;
  v1::DetokenizeRequest ids;
  size_t ends = 0, messages = 0;
  uint32_t counted = 0;
  bool receipt_first = false;
  const absl::Status status =
      client_.Generate(Generation(48), [&](const v1::GenerateResponse& message) {
        if (messages++ == 0) receipt_first = message.has_receipt() && !message.prompt_id().empty();
        text += message.text();
        ids.mutable_token_ids()->MergeFrom(message.token_ids());
        if (message.finish_reason() == v1::FINISH_REASON_UNSPECIFIED) return true;
        ++ends;
        counted = message.usage().output_tokens();
        return true;
      });
  if (!status.ok()) return Fail(Words(status));
  if (ends != 1) return Fail(ends, " messages end the one choice");
  if (!receipt_first) return Fail("the first message has no receipt and prompt_id");
  if (counted != static_cast<uint32_t>(ids.token_ids().ids_size())) {
    return Fail("the usage says ", counted, " tokens, ", ids.token_ids().ids_size(), " came");
  }
  ids.set_skip_special(true);
  const auto whole = client_.Detokenize(ids);
  if (!whole.ok()) return Fail("Detokenize: ", Words(whole.status()));
  if (whole->text() != text) return Fail("the texts do not join to that of their tokens");
  return Pass(counted, " tokens in ", messages, " messages join to their text");
}

absl::StatusOr<double> Checker::Running(const std::string& rpc) const {
  DDPT_ASSIGN_OR_RETURN(const std::string text,
                        HttpGet(options_.metrics, "/metrics", options_.patience));
  return SumOfSamples(text, "ddpt_requests_running", {absl::StrCat("rpc=\"", rpc, "\"")});
}

bool Checker::Becomes(const std::function<bool()>& so) const {
  const Clock::time_point end = Clock::now() + options_.patience;
  while (!so()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

Verdict Checker::Cancel() {
  if (positions_ == 0) return Skip("the server has no base model");
  const auto before = options_.metrics.empty() ? 0.0 : Running("Generate");
  if (!before.ok()) return Fail(Words(before.status()));
  const absl::Status status =
      client_.Generate(Generation(positions_ - std::min(positions_, kBehindTheInstruction)),
                       [](const v1::GenerateResponse& message) {
                         return message.finish_reason() != v1::FINISH_REASON_UNSPECIFIED;
                       });
  if (!absl::IsCancelled(status)) return Fail("cancelled at the first token: ", Words(status));
  if (options_.metrics.empty()) return Pass("the call ended; whether its work did is not seen");
  const Clock::time_point start = Clock::now();
  const bool freed = Becomes([&] { return Running("Generate").value_or(1e9) <= *before; });
  if (!freed) return Fail("the work still runs after ", options_.patience.count(), " ms");
  return Pass(absl::StrFormat("the work was gone within %.0f ms",
                              1e3 * Seconds(Clock::now() - start).count()));
}

Verdict Checker::Metrics() {
  if (options_.metrics.empty()) return Skip("no --metrics");
  const auto text = HttpGet(options_.metrics, "/metrics", options_.patience);
  if (!text.ok()) return Fail(Words(text.status()));
  const std::vector<std::string> faults = LintMetrics(*text, FamiliesOfAServer());
  if (faults.empty()) return Pass(std::count(text->begin(), text->end(), '\n'), " lines");
  const size_t named = std::min(faults.size(), kMostNamed);
  return Fail(absl::StrJoin(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(named), "; "),
              faults.size() > named ? absl::StrCat("; and ", faults.size() - named, " more") : "");
}

Verdict Checker::Overload() {
  if (options_.overload == 0) return Skip("no --overload");
  v1::SampleRequest heavy = SampleOf(kSeed, 2000);
  heavy.set_count(16);
  heavy.set_omit_embedding(true);
  std::mutex mutex;
  size_t served = 0;
  std::vector<double> refusals;  // seconds
  std::string fault;
  const auto request = [&] {
    const Clock::time_point start = Clock::now();
    const absl::Status status = client_.Sample(heavy).status();
    const Seconds time = Clock::now() - start;
    std::lock_guard lock(mutex);
    if (status.ok()) {
      ++served;
    } else if (!absl::IsResourceExhausted(status)) {
      fault = Words(status);
    } else if (!RetryAfter(status)) {
      fault = absl::StrCat("refused without a time to come back: ", status.message());
    } else {
      refusals.push_back(time.count());
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < options_.overload; ++i) threads.emplace_back(request);
  for (std::thread& thread : threads) thread.join();
  if (!fault.empty()) return Fail(fault);
  if (served == 0) return Fail("none of ", options_.overload, " was served");
  std::sort(refusals.begin(), refusals.end());
  if (Percentile(refusals, 0.99) > kAtOnce.count()) {
    return Fail(absl::StrFormat("refusals took %.1f s (p99)", Percentile(refusals, 0.99)));
  }
  if (!Becomes([&] { return client_.Sample(SampleOf(kSeed, 2)).ok(); })) {
    return Fail("nothing is served ", options_.patience.count(), " ms after it");
  }
  return Pass(served, " of ", options_.overload, " at once served, ", refusals.size(), " refused");
}

Verdict Checker::Drain() {
  if (options_.drain == 0) return Skip("no --drain");
  absl::Status accepted;
  bool signalled = false;
  const auto stop = [&](const v1::GenerateResponse&) {
    if (!signalled) kill(options_.drain, SIGTERM);
    return signalled = true;
  };
  if (positions_ > 0) {
    accepted = client_.Generate(Generation(128), stop);
  } else {
    stop({});
  }
  if (!accepted.ok()) return Fail("a call that had been accepted: ", Words(accepted));
  const auto refused = [&] {
    const auto serving = Another(milliseconds(1000))->IsServing("");
    return absl::IsUnavailable(serving.status()) || (serving.ok() && !*serving);
  };
  if (!Becomes(refused)) return Fail("health says that it serves after SIGTERM");
  const absl::Status late = client_.Sample(SampleOf(kSeed, 2)).status();
  if (!absl::IsUnavailable(late)) return Fail("a call after SIGTERM: ", Words(late));
  if (!Becomes([&] { return kill(options_.drain, 0) != 0; })) {
    return Fail("process ", options_.drain, " lives ", options_.patience.count(), " ms after it");
  }
  return Pass("what was accepted ended, the rest was refused, the process is gone");
}

std::unique_ptr<Client> Checker::Another(milliseconds deadline) const {
  Client::Options options = options_.connection;
  options.deadline = deadline;
  options.retry.max_attempts = 1;
  return *Client::Create(options);
}

}  // namespace

std::vector<CheckResult> RunChecks(const CheckOptions& options,
                                   const std::function<void(const CheckResult&)>& on_result) {
  std::vector<CheckResult> results;
  const auto note = [&](const char* name, const Verdict& verdict, double seconds) {
    results.push_back({name, verdict.outcome, verdict.detail, seconds});
    on_result(results.back());
  };
  Client::Options connection = options.connection;
  connection.retry.max_attempts = 1;
  const auto client = Client::Create(connection);
  if (!client.ok()) {
    note("reach", Fail(Words(client.status())), 0);
    return results;
  }
  Checker checker(options, **client);
  const absl::Status chosen = checker.Choose();
  if (!chosen.ok()) {
    note("reach", Fail(Words(chosen)), 0);
    return results;
  }
  struct Check {
    const char* name;
    Verdict (Checker::*run)();
  };
  for (const Check& check : {Check{"health", &Checker::Health},
                             {"limits", &Checker::Limits},
                             {"deadline", &Checker::Deadline},
                             {"replay", &Checker::Replay},
                             {"replay under load", &Checker::ReplayUnderLoad},
                             {"prompt effect", &Checker::PromptEffect},
                             {"stream", &Checker::Stream},
                             {"cancel", &Checker::Cancel},
                             {"overload", &Checker::Overload},
                             {"metrics", &Checker::Metrics},
                             {"drain", &Checker::Drain}}) {
    const Clock::time_point start = Clock::now();
    const Verdict verdict = (checker.*check.run)();
    note(check.name, verdict, Seconds(Clock::now() - start).count());
  }
  return results;
}

}  // namespace ddpt
