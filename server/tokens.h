#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/log.h"
#include "server/scope.h"
#include "server/watched_files.h"

namespace ddpt {

// One accepted token, of which only the SHA-256 is known.
struct Token {
  std::string digest;  // 32 bytes
  std::vector<Scope> scopes = {};
  std::string name;  // of its holder, for logs and limits; several tokens may have one name
};

// The tokens of a text with lines
//   SHA-256-IN-HEX SCOPE[,SCOPE...] NAME
// and empty ones and `# comments`: at most 1,024, names of 1..64 letters, digits and "._-@". A text
// without tokens is valid, and lets nobody in. INVALID_ARGUMENT names the line and quotes nothing
// of it: a token may stand there by mistake.
absl::StatusOr<std::vector<Token>> ParseTokens(std::string_view text);

// The tokens of a file, which may be replaced while the server runs: the new ones are good within a
// second, and those that are gone no longer. A file that cannot be read leaves the old ones in
// force, and the log says why. Thread-safe.
class TokenFile {
 public:
  // `log` outlives the object. Errors name the file.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path, const Log& log);

  // The holder's name. `authorization` is the value of that header, "" where there is none.
  // UNAUTHENTICATED without a token of the file, PERMISSION_DENIED naming the scope where `method`
  // asks for one that the token has not. Compares in time that does not depend on the tokens.
  // Blocks on the file system, at most once a second.
  absl::StatusOr<std::string> Check(std::string_view authorization, std::string_view method,
                                    Scope scope);

 private:
  TokenFile(std::string path, const Log& log) : path_(path), log_(log), file_({std::move(path)}) {}
  absl::Status Load();

  const std::string path_;
  const Log& log_;
  WatchedFiles file_;
  std::mutex mutex_;
  std::shared_ptr<const std::vector<Token>> tokens_;  // guarded by mutex_
};

}  // namespace ddpt
