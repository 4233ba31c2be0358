#include "core/registry/postgres_blobs.h"

namespace ddpt {
namespace {

constexpr size_t kPartBytes = 1 << 20;

}  // namespace

absl::Status PutBlob(PostgresTransaction& transaction, std::string_view name,
                     std::string_view bytes) {
  DDPT_RETURN_IF_ERROR(RemoveBlob(transaction, name));
  for (size_t part = 0; part * kPartBytes < bytes.size(); ++part) {
    DDPT_RETURN_IF_ERROR(
        transaction.Run("INSERT INTO blobs VALUES ($1, $2, $3)", name, uint64_t{part},
                        PostgresBytes{bytes.substr(part * kPartBytes, kPartBytes)}));
  }
  return absl::OkStatus();
}

absl::Status RemoveBlob(PostgresTransaction& transaction, std::string_view name) {
  return transaction.Run("DELETE FROM blobs WHERE name = $1", name);
}

absl::StatusOr<std::string> GetBlob(PostgresDatabase& database, std::string_view name) {
  std::string bytes;
  DDPT_RETURN_IF_ERROR(database.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    bytes.clear();
    DDPT_RETURN_IF_ERROR(transaction.Exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
    DDPT_ASSIGN_OR_RETURN(const int64_t parts,
                          transaction.QueryInt("SELECT COUNT(*) FROM blobs WHERE name = $1", name));
    for (int64_t part = 0; part < parts; ++part) {
      DDPT_ASSIGN_OR_RETURN(
          const PostgresRows rows,
          transaction.Query("SELECT bytes FROM blobs WHERE name = $1 AND part = $2", name, part));
      if (rows.empty()) return absl::DataLossError("a part is missing");
      bytes += rows[0].Text(0);
    }
    return absl::OkStatus();
  }));
  return bytes;
}

}  // namespace ddpt
