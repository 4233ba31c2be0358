#include "core/registry/postgres_dataset_store.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "core/registry/postgres_blobs.h"

namespace ddpt {
namespace {

constexpr std::string_view kMigrations[] = {
    R"(CREATE TABLE datasets (
         digest TEXT PRIMARY KEY,
         size_bytes BIGINT NOT NULL,
         put_at BIGINT NOT NULL);)",
};

std::string BlobOf(std::string_view digest) { return absl::StrCat("dataset/", Piece(digest)); }

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresDatasetStore>> PostgresDatasetStore::Open(
    PostgresDatabase& database, uint64_t max_bytes) {
  DDPT_RETURN_IF_ERROR(database.Migrate("datasets", kMigrations));
  return std::unique_ptr<PostgresDatasetStore>(new PostgresDatasetStore(database, max_bytes));
}

absl::StatusOr<StoredDataset> PostgresDatasetStore::Put(const Dataset& dataset) {
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, BytesOfDataset(dataset));
  const bool whole = Get(dataset.digest).ok();
  DDPT_RETURN_IF_ERROR(database_.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    // Others who put wait here, so that none misses what another takes of the room.
    DDPT_RETURN_IF_ERROR(transaction.Exec("LOCK TABLE datasets IN SHARE ROW EXCLUSIVE MODE"));
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows known,
        transaction.Query("UPDATE datasets SET put_at = ddpt_now() WHERE digest = $1 RETURNING 1",
                          dataset.digest));
    if (!known.empty() && whole) return absl::OkStatus();
    DDPT_ASSIGN_OR_RETURN(
        const int64_t used,
        transaction.QueryInt("SELECT SUM(size_bytes)::BIGINT FROM datasets WHERE digest <> $1",
                             dataset.digest));
    DDPT_RETURN_IF_ERROR(CheckDatasetRoom(used, bytes.size(), max_bytes_));
    DDPT_RETURN_IF_ERROR(
        transaction.Run("INSERT INTO datasets VALUES ($1, $2, ddpt_now())"
                        " ON CONFLICT (digest) DO NOTHING",
                        dataset.digest, uint64_t{bytes.size()}));
    return PutBlob(transaction, BlobOf(dataset.digest), bytes);
  }));
  return StoredDataset{dataset.digest, dataset.examples.size(), bytes.size()};
}

absl::StatusOr<Dataset> PostgresDatasetStore::Get(std::string_view digest) const {
  DDPT_RETURN_IF_ERROR(CheckDigest("digest", digest));
  int64_t found = 0;
  DDPT_RETURN_IF_ERROR(database_.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    DDPT_ASSIGN_OR_RETURN(
        found, transaction.QueryInt("SELECT COUNT(*) FROM datasets WHERE digest = $1", digest));
    return absl::OkStatus();
  }));
  if (found == 0) return NoSuchDataset(digest);
  DDPT_ASSIGN_OR_RETURN(const std::string bytes, GetBlob(database_, BlobOf(digest)));
  return DatasetOfBytes(digest, bytes);
}

absl::StatusOr<uint64_t> PostgresDatasetStore::RemoveOlderThan(int64_t micros,
                                                               const std::set<std::string>& keep) {
  uint64_t removed = 0;
  DDPT_RETURN_IF_ERROR(database_.Transaction([&](PostgresTransaction& transaction) -> absl::Status {
    removed = 0;
    DDPT_RETURN_IF_ERROR(transaction.Exec("LOCK TABLE datasets IN SHARE ROW EXCLUSIVE MODE"));
    DDPT_ASSIGN_OR_RETURN(
        const PostgresRows rows,
        transaction.Query("SELECT digest FROM datasets WHERE put_at < $1", micros));
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string digest = rows[i].Text(0);
      if (keep.contains(digest)) continue;
      DDPT_RETURN_IF_ERROR(transaction.Run("DELETE FROM datasets WHERE digest = $1", digest));
      DDPT_RETURN_IF_ERROR(RemoveBlob(transaction, BlobOf(digest)));
      ++removed;
    }
    return absl::OkStatus();
  }));
  return removed;
}

}  // namespace ddpt
