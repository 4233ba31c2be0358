#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/registry/job_store.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {

// What a job's record keeps of the request that started it.
struct TrainingRecord {
  v1::TrainRequest request;  // data named by digests
  std::string path;          // that the caller named instead; "": none
  uint64_t train_examples = 0;
  uint64_t validation_examples = 0;
  uint64_t duplicate_examples = 0;
  uint64_t shared_instructions = 0;
  int split_version = 0;         // kSplitVersion of the server that accepted the job
  std::string traceparent = {};  // of the call that started it; "": none
};

// As Job::request, and back. DATA_LOSS for what was not written by this.
std::string SerializeRecord(const TrainingRecord& record);
absl::StatusOr<TrainingRecord> ParseRecord(const std::string& text);

// `record` is the Job::request of the job.
absl::Status ToProto(const Job& job, const std::string& record, v1::TrainingJob* out);
absl::Status ToProto(const JobEvent& event, const std::string& record, v1::JobEvent* out);

}  // namespace ddpt
