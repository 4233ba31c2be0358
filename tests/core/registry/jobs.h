#pragma once

#include <string>

#include "core/registry/job_store.h"
#include "gtest/gtest.h"

namespace ddpt {

inline Job NewJob(const std::string& operation_id, const std::string& task = "sql") {
  Job job;
  job.operation_id = operation_id;
  job.task = task;
  job.request = "please";
  return job;
}

// A job whose every figure differs from a new one's.
inline Job Changed(const Job& job) {
  Job changed = job;
  changed.state = JobState::kRunning;
  changed.step = 7;
  changed.resumes = 2;
  changed.version = 3;
  changed.denoiser_digest = "abc";
  changed.train_loss = 0.1;
  changed.validation_nll = 2.5;
  changed.validation_nll_none = 1e-300;
  changed.error = "none yet";
  return changed;
}

inline void ExpectFigures(const Job& job, const Job& expected) {
  EXPECT_EQ(job.state, expected.state);
  EXPECT_EQ(job.step, expected.step);
  EXPECT_EQ(job.resumes, expected.resumes);
  EXPECT_EQ(job.version, expected.version);
  EXPECT_EQ(job.denoiser_digest, expected.denoiser_digest);
  EXPECT_EQ(job.train_loss, expected.train_loss);
  EXPECT_EQ(job.validation_nll, expected.validation_nll);
  EXPECT_EQ(job.validation_nll_none, expected.validation_nll_none);
  EXPECT_EQ(job.error, expected.error);
}

}  // namespace ddpt
