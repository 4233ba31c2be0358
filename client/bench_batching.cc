#include "client/bench_batching.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/team.h"
#include "core/decoding/generator.h"
#include "core/text/bpe_trainer.h"
#include "core/text/tokenizer.h"

namespace ddpt {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct BenchRequest {
  std::shared_ptr<const PromptedRequest> prompted;
  std::shared_ptr<const DecodingOptions> decoding;
};

// A request and when its client sent it.
struct Sent {
  size_t request;
  Clock::time_point at;
};

// Where there are no files of one: it knows bytes and an end token.
absl::StatusOr<std::shared_ptr<const Tokenizer>> ByteTokenizer() {
  const std::vector<std::string> special = {"<|endoftext|>"};
  DDPT_ASSIGN_OR_RETURN(const TokenizerFiles files, TrainByteLevelBpe({}, 257, special));
  std::string folder = (std::filesystem::temp_directory_path() / "ddpt-bench.XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return absl::UnavailableError(folder + ": not writable");
  absl::Status status = WriteFileAtomic(folder + "/vocab.json", files.vocab_json);
  status.Update(WriteFileAtomic(folder + "/merges.txt", files.merges_txt));
  status.Update(WriteFileAtomic(folder + "/tokenizer_config.json", files.tokenizer_config_json));
  auto tokenizer = Tokenizer::Load(folder);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  DDPT_RETURN_IF_ERROR(status);
  DDPT_RETURN_IF_ERROR(tokenizer.status());
  return *std::move(tokenizer);
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> OpenTokenizer(const std::string& model) {
  if (model.empty()) return ByteTokenizer();
  auto tokenizer = Tokenizer::Load(model);
  if (absl::IsNotFound(tokenizer.status())) return ByteTokenizer();
  DDPT_RETURN_IF_ERROR(tokenizer.status());
  return *std::move(tokenizer);
}

absl::StatusOr<std::vector<BenchRequest>> MakeRequests(const BenchBatchingOptions& options,
                                                       const ModelGeometry& geometry) {
  DDPT_RETURN_IF_ERROR(CheckWithin("input-tokens", options.input_tokens,
                                   static_cast<size_t>(geometry.max_positions)));
  DDPT_RETURN_IF_ERROR(CheckWithin("output-tokens", options.output_tokens,
                                   static_cast<size_t>(geometry.max_positions)));
  std::mt19937 random(1);
  std::vector<BenchRequest> requests;
  for (size_t i = 0; i < options.requests; ++i) {
    PromptedRequest request;
    request.instruction_ids = BenchIds(geometry, i, 1 + random() % options.input_tokens);
    DecodingOptions decoding;
    decoding.max_new_tokens = static_cast<uint32_t>(1 + random() % options.output_tokens);
    DDPT_RETURN_IF_ERROR(ValidateRequest(request, geometry, decoding.max_new_tokens));
    requests.push_back({std::make_shared<const PromptedRequest>(std::move(request)),
                        std::make_shared<const DecodingOptions>(std::move(decoding))});
  }
  return requests;
}

class Run {
 public:
  Run(GenerationBatch& batch, const std::vector<BenchRequest>& requests, BatchingFigures& figures)
      : batch_(batch), requests_(requests), figures_(figures), slots_(batch.capacity()) {}

  absl::Status Go(size_t clients, bool continuous) {
    const Clock::time_point start = Clock::now();
    for (size_t i = 0; i < clients; ++i) Send();
    std::vector<GenerationBatch::Finished> finished;
    while (!waiting_.empty() || batch_.width() > 0) {
      if (continuous || batch_.width() == 0) DDPT_RETURN_IF_ERROR(Fill());
      finished.clear();
      batch_.Step(finished);
      ++figures_.steps;
      for (const GenerationBatch::Finished& row : finished) {
        DDPT_RETURN_IF_ERROR(row.status);
        figures_.answers.push_back(Seconds(Clock::now() - slots_[row.slot].at).count());
        Send();
      }
    }
    figures_.seconds += Seconds(Clock::now() - start).count();
    return absl::OkStatus();
  }

 private:
  void Send() {
    if (sent_ < requests_.size()) waiting_.push_back({sent_++, Clock::now()});
  }

  absl::Status Fill() {
    while (!waiting_.empty()) {
      const Sent sent = waiting_.front();
      const BenchRequest& request = requests_[sent.request];
      if (!batch_.HasRoom(*request.prompted, *request.decoding)) break;
      DeltaSink sink = [this, at = sent.at](const Delta& delta) {
        ++figures_.tokens;
        if (delta.output_tokens == 1) {
          figures_.first_tokens.push_back(Seconds(Clock::now() - at).count());
        }
        return true;
      };
      DDPT_ASSIGN_OR_RETURN(const size_t slot,
                            batch_.Join({request.prompted, request.decoding, 0, sink, {}}));
      slots_[slot] = sent;
      waiting_.pop_front();
    }
    return absl::OkStatus();
  }

  GenerationBatch& batch_;
  const std::vector<BenchRequest>& requests_;
  BatchingFigures& figures_;
  std::vector<Sent> slots_;
  std::deque<Sent> waiting_;
  size_t sent_ = 0;
};

}  // namespace

void BatchingResult::Sort() {
  for (BatchingFigures* figures : {&continuous, &fixed}) {
    std::sort(figures->first_tokens.begin(), figures->first_tokens.end());
    std::sort(figures->answers.begin(), figures->answers.end());
  }
}

absl::Status CheckBatchingWork(const BatchingWork& work) {
  DDPT_RETURN_IF_ERROR(CheckWithin("clients", work.clients, 4096));
  DDPT_RETURN_IF_ERROR(CheckWithin("batch", work.batch, 256));
  DDPT_RETURN_IF_ERROR(CheckWithin("requests", work.requests, 1'000'000));
  return CheckWithin("runs", work.runs, 1'000'000);
}

absl::StatusOr<BenchBatchingResult> BenchBatching(const BenchBatchingOptions& options,
                                                  const std::function<void(size_t)>& on_run) {
  DDPT_RETURN_IF_ERROR(CheckBatchingWork(options));
  DDPT_RETURN_IF_ERROR(CheckWithin("threads", options.threads, 256));
  // LibTorch on one thread, as in the server: between its own loops its others spin on the
  // processors that the helpers are to use.
  BenchModelOptions alone = options;
  alone.threads = 1;
  DDPT_ASSIGN_OR_RETURN(const BenchModel subject, OpenBenchModel(alone));
  DDPT_ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizer(options.model));
  DDPT_ASSIGN_OR_RETURN(const auto requests, MakeRequests(options, subject.model->geometry()));

  GenerationBatch batch(subject.model, tokenizer, {.capacity = options.batch});
  const HelperThreads helpers(
      std::min(options.threads - 1, Team::kMaxHelpers),
      [&](HelperThreads::Leave leave) { batch.Help([&] { return leave(); }); });
  BenchBatchingResult result;
  result.dtype = subject.model->geometry().dtype;
  BatchingFigures untimed;
  DDPT_RETURN_IF_ERROR(Run(batch, requests, untimed).Go(options.clients, /*continuous=*/true));
  for (size_t run = 0; run < options.runs; ++run) {
    DDPT_RETURN_IF_ERROR(Run(batch, requests, result.continuous).Go(options.clients, true));
    DDPT_RETURN_IF_ERROR(Run(batch, requests, result.fixed).Go(options.clients, false));
    on_run(run + 1);
  }
  result.Sort();
  return result;
}

}  // namespace ddpt
