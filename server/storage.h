#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/registry/dataset_store.h"
#include "core/registry/job_store.h"
#include "core/registry/postgres_database.h"
#include "core/registry/registry.h"
#include "server/config.h"

namespace ddpt {

// What outlives a server: in its state directory, or in a database that servers share.
struct Storage {
  std::unique_ptr<PostgresDatabase> database;  // null: the state directory
  std::unique_ptr<Registry> registry;
  std::unique_ptr<DatasetStore> datasets;  // null without training
  std::unique_ptr<JobStore> jobs;          // likewise
};

// Blocks. Errors are those of the stores; UNAVAILABLE names a database that is out of reach.
absl::StatusOr<Storage> OpenStorage(const Config& config, bool training);

}  // namespace ddpt
