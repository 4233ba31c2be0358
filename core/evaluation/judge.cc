#include "core/evaluation/judge.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/evaluation/scripts.h"

namespace ddpt {
namespace {

using Clock = std::chrono::steady_clock;

// At least, for a program that does nothing.
constexpr uint32_t kTrySeconds = 20;
constexpr size_t kVerdictLimit = 64 << 10;
// How long after the tests the end of a program that broke off is waited for, to say how it ended.
constexpr std::chrono::milliseconds kGrace(300);
constexpr std::chrono::seconds kLastWords(1);

absl::StatusOr<std::string> RandomNonce() {
  std::array<char, 32> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) != ssize_t{bytes.size()}) {
    return absl::UnavailableError("getrandom gave no nonce");
  }
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

// What comes out of a pipe, up to a limit.
class Stream {
 public:
  explicit Stream(int descriptor) : descriptor_(descriptor) {}

  int descriptor() const { return ended_ ? -1 : descriptor_; }
  bool ended() const { return ended_; }
  const std::string& text() const { return text_; }

  // After poll said that there is something.
  void Read() {
    char buffer[16 << 10];
    const ssize_t count = read(descriptor_, buffer, sizeof buffer);
    if (count > 0) text_.append(buffer, count);
    if (count == 0) ended_ = true;
  }

 private:
  int descriptor_;
  std::string text_;
  bool ended_ = false;
};

// One trial on its way.
class Run {
 public:
  Run(SandboxedPython program, SandboxedPython tests, int verdict, const SandboxLimits& limits)
      : program_(std::move(program)),
        tests_(std::move(tests)),
        limits_(limits),
        deadline_(Clock::now() + std::chrono::seconds(limits.seconds)) {
    streams_ = {Stream(program_.output()), Stream(tests_.output()), Stream(program_.status()),
                Stream(tests_.status()), Stream(verdict)};
  }

  // Blocks until the verdict or a limit; then nothing runs any more.
  Verdict Finish(const std::string& nonce) {
    while (!Done() && WaitUntil(deadline_)) {
    }
    const bool in_time = Done();
    const auto grace = std::min(deadline_, Clock::now() + kGrace);
    while (BrokeOff() && streams_[kProgramStatus].text().empty() && WaitUntil(grace)) {
    }
    program_.Kill();
    tests_.Kill();
    // What was printed last. All writers are gone, but those that an unsafe program let loose.
    const auto last = Clock::now() + kLastWords;
    while (!Ended() && Printed() <= limits_.output_bytes && WaitUntil(last)) {
    }
    Verdict verdict = Judge(nonce, in_time);
    verdict.output = (streams_[kProgramOutput].text() + streams_[kTestsOutput].text())
                         .substr(0, limits_.output_bytes);
    return verdict;
  }

 private:
  enum { kProgramOutput, kTestsOutput, kProgramStatus, kTestsStatus, kVerdict, kStreams };

  size_t Printed() const {
    return streams_[kProgramOutput].text().size() + streams_[kTestsOutput].text().size();
  }

  bool Done() const {
    return Printed() > limits_.output_bytes || Refusal() != nullptr ||
           streams_[kVerdict].text().size() > kVerdictLimit || streams_[kTestsStatus].ended();
  }

  bool Ended() const {
    return std::all_of(streams_.begin(), streams_.end(), std::mem_fn(&Stream::ended));
  }

  // The tests found that there is no program any more.
  bool BrokeOff() const {
    return absl::StrContains(streams_[kVerdict].text(), "the program ended before");
  }

  const std::string* Refusal() const {
    for (const int status : {kProgramStatus, kTestsStatus})
      if (absl::StartsWith(streams_[status].text(), "error ")) return &streams_[status].text();
    return nullptr;
  }

  // Reads what is there; false when the moment has come.
  bool WaitUntil(Clock::time_point moment) {
    std::array<pollfd, kStreams> waits;
    for (size_t i = 0; i < waits.size(); ++i) waits[i] = {streams_[i].descriptor(), POLLIN, 0};
    const std::chrono::duration<double, std::milli> left = moment - Clock::now();
    if (left.count() <= 0) return false;
    poll(waits.data(), waits.size(), static_cast<int>(std::min(1000.0, std::ceil(left.count()))));
    for (size_t i = 0; i < waits.size(); ++i)
      if (waits[i].revents != 0) streams_[i].Read();
    return true;
  }

  // The signal that ended the program; 0: none.
  int Signal() const {
    int status = 0;
    const std::string& text = streams_[kProgramStatus].text();
    if (!absl::StartsWith(text, "status ") || !absl::SimpleAtoi(text.substr(7), &status)) return 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

  Verdict Judge(const std::string& nonce, bool in_time) const {
    if (const std::string* refusal = Refusal()) {
      return {.outcome = Outcome::kRefused, .detail = refusal->substr(6, refusal->find('\n') - 6)};
    }
    if (Printed() > limits_.output_bytes) {
      return {.outcome = Outcome::kOutput,
              .detail = absl::StrCat("printed more than ", limits_.output_bytes, " bytes")};
    }
    const std::string error = Error(nonce);
    if (error.empty()) return {.outcome = Outcome::kPassed};
    if (program_.OutOfMemory() || tests_.OutOfMemory() || absl::StartsWith(error, "MemoryError")) {
      return {.outcome = Outcome::kMemory, .detail = "more memory than the limit"};
    }
    if (const int signal = Signal(); signal != 0 && signal != SIGXCPU) {
      return {.outcome = Outcome::kKilled,
              .detail = absl::StrCat("ended by signal ", signal, " (", sigdescr_np(signal), ")")};
    }
    if (!in_time || Signal() == SIGXCPU) {
      return {.outcome = Outcome::kTimedOut,
              .detail = absl::StrCat("not done after ", limits_.seconds, " s")};
    }
    return {.outcome = Outcome::kFailed, .detail = error};
  }

  // "" where the verdict ends with the nonce.
  std::string Error(const std::string& nonce) const {
    const std::string& text = streams_[kVerdict].text();
    const size_t start = std::min(text.find('\n'), text.size());
    const auto json = nlohmann::json::parse(text.begin() + start, text.end(), nullptr,
                                            /*allow_exceptions=*/false);
    const auto is = [&](const char* key) {
      return json.is_object() && json.contains(key) && json[key].is_string();
    };
    if (is("nonce") && json["nonce"] == nonce) return "";
    return is("error") ? json["error"].get<std::string>() : "the tests ended without a verdict";
  }

  SandboxedPython program_, tests_;
  SandboxLimits limits_;
  Clock::time_point deadline_;
  std::vector<Stream> streams_;
};

absl::StatusOr<Verdict> RunTrial(const SandboxOptions& options, const Trial& trial) {
  DDPT_ASSIGN_OR_RETURN(const std::string nonce, RandomNonce());
  const nlohmann::json task = {{"prompt", trial.prompt},
                               {"test", trial.test},
                               {"entry_point", trial.entry_point},
                               {"nonce", nonce}};
  DDPT_ASSIGN_OR_RETURN(const Descriptor source, MakeInput(trial.program));
  DDPT_ASSIGN_OR_RETURN(
      const Descriptor tests_input,
      MakeInput(task.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  DDPT_ASSIGN_OR_RETURN(Pipe calls, MakePipe());
  DDPT_ASSIGN_OR_RETURN(Pipe answers, MakePipe());
  DDPT_ASSIGN_OR_RETURN(Pipe verdict, MakePipe());
  DDPT_ASSIGN_OR_RETURN(auto program, SandboxedPython::Start(options, kCandidateScript,
                                                             {.input = source.number(),
                                                              .from_peer = calls.read.number(),
                                                              .to_peer = answers.write.number()}));
  DDPT_ASSIGN_OR_RETURN(auto tests, SandboxedPython::Start(options, kJudgeScript,
                                                           {.input = tests_input.number(),
                                                            .from_peer = answers.read.number(),
                                                            .to_peer = calls.write.number(),
                                                            .verdict = verdict.write.number()}));
  // Ends of the pipes that are left here would keep one side from seeing that the other has ended.
  calls = {};
  answers = {};
  verdict.write.Close();
  return Run(std::move(program), std::move(tests), verdict.read.number(), options.limits)
      .Finish(nonce);
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  constexpr std::array<std::string_view, 7> kNames = {"passed", "failed", "timed_out", "memory",
                                                      "output", "killed", "refused"};
  return kNames[static_cast<size_t>(outcome)];
}

absl::StatusOr<Judge> Judge::Create(SandboxOptions options) {
  DDPT_ASSIGN_OR_RETURN(options, FindPrograms(std::move(options)));
  SandboxOptions patient = options;
  patient.limits.seconds = std::max(patient.limits.seconds, kTrySeconds);
  const Verdict verdict =
      Judge(std::move(patient))
          .Run({.program = "", .entry_point = "", .test = "def check(candidate): pass"});
  if (verdict.outcome != Outcome::kPassed) {
    return absl::FailedPreconditionError(absl::StrCat(
        "programs cannot be run in a sandbox here: ", Piece(OutcomeName(verdict.outcome)), ", ",
        verdict.detail));
  }
  return Judge(std::move(options));
}

Verdict Judge::Run(const Trial& trial) const {
  const Clock::time_point start = Clock::now();
  absl::StatusOr<Verdict> verdict = RunTrial(options_, trial);
  if (!verdict.ok()) {
    return {.outcome = Outcome::kRefused, .detail = std::string(verdict.status().message())};
  }
  verdict->seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return *std::move(verdict);
}

std::vector<Verdict> RunTrials(const Judge& judge, std::span<const Trial> trials, size_t threads,
                               const std::function<void(size_t)>& on_verdict) {
  std::vector<Verdict> verdicts(trials.size());
  std::mutex mutex;
  size_t done = 0;  // under the mutex
  ForEachInParallel(trials.size(), threads, [&](size_t i) {
    verdicts[i] = judge.Run(trials[i]);
    const std::lock_guard lock(mutex);
    ++done;
    if (on_verdict) on_verdict(done);
  });
  return verdicts;
}

}  // namespace ddpt
