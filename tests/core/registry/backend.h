#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/registry/dataset_store.h"
#include "core/registry/job_store.h"
#include "core/registry/registry.h"
#include "gtest/gtest.h"

namespace ddpt {

// Where the stores under test keep what they are given: what one has stored the next one that is
// opened finds. At most one of a kind is open at a time.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual absl::StatusOr<std::unique_ptr<Registry>> OpenRegistry(const RegistryLimits& limits) = 0;
  virtual absl::StatusOr<std::unique_ptr<JobStore>> OpenJobs(uint64_t max_unfinished) = 0;
  virtual absl::StatusOr<std::unique_ptr<DatasetStore>> OpenDatasets(uint64_t max_bytes) = 0;
  // The clock of registry and jobs shows 1000 microseconds at first.
  virtual void Advance(int64_t micros) = 0;
};

// For tests of what all stores have in common; skipped where PostgreSQL is not installed.
class BackendTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;

  std::unique_ptr<Backend> backend_;
};

inline const auto kBackends = testing::Values("Sqlite", "Postgres");
inline std::string NameOfBackend(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace ddpt
