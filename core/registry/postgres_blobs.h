#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/registry/postgres_database.h"

namespace ddpt {

// Large values in a database, by name, in parts of a mebibyte: no statement is long, and no value
// too large for a field.

// Replaces the value.
absl::Status PutBlob(PostgresTransaction& transaction, std::string_view name,
                     std::string_view bytes);
absl::Status RemoveBlob(PostgresTransaction& transaction, std::string_view name);
// "" for a name that has none. In a transaction of its own, so that parts of two values never meet.
absl::StatusOr<std::string> GetBlob(PostgresDatabase& database, std::string_view name);

}  // namespace ddpt
