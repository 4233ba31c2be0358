#pragma once

#include <optional>
#include <string_view>

namespace ddpt {

// What a token may be good for. No scope includes another.
//   read    lists, Describe, GetModel, jobs' state, reflection
//   sample  Sample, Replay, Generate, Score, Evaluate, Tokenize, Detokenize, EmbedTokens
//   train   Train, UploadDataset, CancelJob
//   admin   ImportTask, PromoteTask, RollbackTask, DeleteTask
enum class Scope { kRead, kSample, kTrain, kAdmin };
inline constexpr Scope kAllScopes[] = {Scope::kRead, Scope::kSample, Scope::kTrain, Scope::kAdmin};

// "read", "sample", "train", "admin".
std::string_view ScopeName(Scope scope);
std::optional<Scope> ParseScope(std::string_view name);

// What `method`, as in "ddpt.v1.TaskService/ListTasks", asks for: nothing of grpc.health.v1, and
// admin of a method that is not known here.
std::optional<Scope> ScopeOf(std::string_view method);

}  // namespace ddpt
