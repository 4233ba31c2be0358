#include "core/registry/denoiser_files.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"

namespace ddpt {
namespace {

constexpr char kFileSuffix[] = ".safetensors";

}  // namespace

absl::StatusOr<std::unique_ptr<DenoiserFiles>> DenoiserFiles::Open(
    const std::string& state_directory) {
  std::string directory = state_directory + "/denoisers";
  DDPT_RETURN_IF_ERROR(CreateFolder(directory));
  DDPT_ASSIGN_OR_RETURN(auto lock, FileLock::Acquire(state_directory + "/lock"));
  return std::unique_ptr<DenoiserFiles>(new DenoiserFiles(std::move(directory), std::move(lock)));
}

std::string DenoiserFiles::PathOf(std::string_view digest) const {
  return absl::StrCat(directory_, "/", Piece(digest), kFileSuffix);
}

bool DenoiserFiles::Has(std::string_view digest) const {
  std::error_code ignored;
  return std::filesystem::exists(PathOf(digest), ignored);
}

absl::Status DenoiserFiles::Put(std::string_view digest, std::string_view bytes) const {
  return WriteFileAtomic(PathOf(digest), bytes);
}

void DenoiserFiles::Remove(std::string_view digest) const {
  std::error_code ignored;
  std::filesystem::remove(PathOf(digest), ignored);
}

absl::Status DenoiserFiles::RemoveOthers(
    const std::function<absl::StatusOr<bool>(const std::string& digest)>& used) const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string digest = DigestOfFile(entry.path().filename().string(), kFileSuffix);
    if (digest.empty()) continue;
    DDPT_ASSIGN_OR_RETURN(const bool keep, used(digest));
    std::error_code ignored;
    if (!keep || entry.path() != PathOf(digest)) std::filesystem::remove(entry.path(), ignored);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot list ", directory_, ": ", error.message()));
}

}  // namespace ddpt
