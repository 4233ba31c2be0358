#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/diffusion/denoiser_spec.h"
#include "ddpt/v1/prompt.grpc.pb.h"
#include "ddpt/v1/task.grpc.pb.h"
#include "server/server.h"

namespace ddpt {

// A directory of its own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// 4 x 16 prompts in 100 steps: well below a millisecond.
DenoiserSpec SmallSpec();
// The same prompts, but a draw of 10,000 steps takes many milliseconds.
DenoiserSpec SlowSpec();
// The bytes of a random denoiser's file.
std::string DenoiserFile(const DenoiserSpec& spec, uint64_t seed);

// Port 0, one worker, no log.
Config TestConfig(const std::string& state);

// A real server on loopback and stubs to talk to it.
class TestServer {
 public:
  explicit TestServer(Config config);

  Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }
  v1::PromptService::Stub& prompts() { return *prompts_; }
  v1::TaskService::Stub& tasks() { return *tasks_; }

  absl::StatusOr<v1::SampleResponse> Sample(const v1::SampleRequest& request,
                                            std::chrono::milliseconds timeout = kTimeout);
  absl::StatusOr<v1::SampleResponse> Replay(const v1::ReplayRequest& request);
  absl::StatusOr<v1::TaskInfo> Import(const v1::ImportTaskRequest::Header& header,
                                      const std::string& file);
  absl::StatusOr<v1::TaskInfo> Import(const std::string& task, const std::string& file);
  absl::StatusOr<v1::TaskInfo> GetTask(const std::string& task);

  // Sum of the samples of a family with these labels, now.
  double Metric(const std::string& family, const std::vector<std::string>& labels = {});
  // Blocks until the metric has the value; a failure after 30 s.
  void AwaitMetric(const std::string& family, const std::vector<std::string>& labels, double value);
  // 1 SERVING, 2 NOT_SERVING, or -1: unknown service.
  int Health(const std::string& service);

  static constexpr std::chrono::milliseconds kTimeout{30'000};

 private:
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PromptService::Stub> prompts_;
  std::unique_ptr<v1::TaskService::Stub> tasks_;
};

// For children and others without a Server object.
double ScrapeMetric(const std::string& address, const std::string& family,
                    const std::vector<std::string>& labels);
int AskHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);
// Lets that much time pass without giving the processor away, so that a busy machine does not make
// it much more.
void Spin(std::chrono::microseconds time);
void SetTimeout(grpc::ClientContext& context, std::chrono::milliseconds timeout);

v1::SampleRequest SampleOf(const std::string& task, uint64_t seed, uint32_t count = 1);

// Of the slow task. Without a deadline, or with one as far off as this: a server refuses what it
// has no time for, and under a sanitizer it needs minutes indeed.
v1::SampleRequest MinutesOfSampling();
inline constexpr std::chrono::hours kMinutesOfSampling{8};

// MinutesOfSampling(), started in the background and cancelled at the end of the object or before.
class LongSample {
 public:
  explicit LongSample(TestServer& server);
  ~LongSample();
  // Blocks until the call has ended; its status.
  absl::Status Cancel();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ddpt
