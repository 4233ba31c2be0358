#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ddpt/v1/training.grpc.pb.h"
#include "server/config.h"
#include "tests/integration/server_fixture.h"

namespace ddpt {

// TestConfig with RandomModel.
Config TrainingConfig(const std::string& state);

// Ten examples, twelve steps of four with a checkpoint after each third: a moment on the random
// model.
v1::TrainRequest SmallTraining(const std::string& operation_id);
// The same for longer than a test takes, with no checkpoint on the way.
v1::TrainRequest EndlessTraining(const std::string& operation_id);
// 120 steps with a checkpoint after each tenth.
v1::TrainRequest MediumTraining();
// The digest that MediumTraining ends with when nothing disturbs it; the first call trains it.
const std::string& UndisturbedDigest();
// Makes it a search by BBT, small likewise.
void MakeBlackBox(v1::TrainRequest& request);
// Makes it prefix tuning.
void MakePrefix(v1::TrainRequest& request, v1::PrefixPlace place);
// The examples of SmallTraining as JSON Lines.
std::string SmallDataFile();

// Calls of a TrainingService.
class TrainingClient {
 public:
  using Enough = std::function<bool(const v1::JobEvent&)>;

  explicit TrainingClient(const std::shared_ptr<grpc::Channel>& channel);

  absl::StatusOr<v1::TrainingJob> Train(const v1::TrainRequest& request);
  absl::StatusOr<v1::TrainingJob> Get(const std::string& job_id);
  absl::StatusOr<v1::TrainingJob> Find(const std::string& operation_id);
  absl::StatusOr<v1::TrainingJob> Cancel(const std::string& job_id);
  absl::StatusOr<v1::ListJobsResponse> List(const std::string& task, uint32_t page_size,
                                            const std::string& page_token);
  absl::StatusOr<v1::Dataset> Upload(const v1::DataChunk::Header& header,
                                     const std::vector<std::string>& chunks);
  // The events after `after`, up to the first that is `enough`, else to the job's end.
  absl::StatusOr<std::vector<v1::JobEvent>> Watch(const std::string& job_id, uint64_t after = 0,
                                                  const Enough& enough = nullptr);
  // Blocks until the job has ended: the job.
  absl::StatusOr<v1::TrainingJob> Await(const std::string& job_id);
  // Train and Await.
  absl::StatusOr<v1::TrainingJob> TrainToTheEnd(const v1::TrainRequest& request);

 private:
  std::unique_ptr<v1::TrainingService::Stub> stub_;
};

// A server with RandomModel for all tests of a suite, which keep apart by task and operation_id.
class TrainingTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  // Of the running test: its task, and its operation_id but for a suffix.
  static std::string Name();
  static v1::TrainRequest Small(const std::string& suffix = "");
  static v1::TrainRequest Endless(const std::string& suffix = "");

  static TemporaryDirectory* directory_;  // whose files Train may read
  static TestServer* server_;
  static TrainingClient* client_;
};

// Whether the job has done `step` optimizer steps.
TrainingClient::Enough Reached(uint64_t step);

}  // namespace ddpt
