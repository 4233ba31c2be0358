#include "server/scope.h"

#include <map>

namespace ddpt {

std::string_view ScopeName(Scope scope) {
  static constexpr std::string_view kNames[] = {"read", "sample", "train", "admin"};
  return kNames[static_cast<size_t>(scope)];
}

std::optional<Scope> ParseScope(std::string_view name) {
  for (const Scope scope : kAllScopes) {
    if (name == ScopeName(scope)) return scope;
  }
  return std::nullopt;
}

std::optional<Scope> ScopeOf(std::string_view method) {
  static const auto& scopes = *new std::map<std::string_view, std::optional<Scope>>{
      {"ddpt.v1.CodeService/Generate", Scope::kSample},
      {"ddpt.v1.CodeService/Score", Scope::kSample},
      {"ddpt.v1.EvaluationService/Evaluate", Scope::kSample},
      {"ddpt.v1.ModelService/Detokenize", Scope::kSample},
      {"ddpt.v1.ModelService/EmbedTokens", Scope::kSample},
      {"ddpt.v1.ModelService/GetModel", Scope::kRead},
      {"ddpt.v1.ModelService/Tokenize", Scope::kSample},
      {"ddpt.v1.PromptService/Describe", Scope::kRead},
      {"ddpt.v1.PromptService/Replay", Scope::kSample},
      {"ddpt.v1.PromptService/Sample", Scope::kSample},
      {"ddpt.v1.TaskService/DeleteTask", Scope::kAdmin},
      {"ddpt.v1.TaskService/GetTask", Scope::kRead},
      {"ddpt.v1.TaskService/ImportTask", Scope::kAdmin},
      {"ddpt.v1.TaskService/ListTasks", Scope::kRead},
      {"ddpt.v1.TaskService/PromoteTask", Scope::kAdmin},
      {"ddpt.v1.TaskService/RollbackTask", Scope::kAdmin},
      {"ddpt.v1.TrainingService/CancelJob", Scope::kTrain},
      {"ddpt.v1.TrainingService/GetJob", Scope::kRead},
      {"ddpt.v1.TrainingService/ListJobs", Scope::kRead},
      {"ddpt.v1.TrainingService/Train", Scope::kTrain},
      {"ddpt.v1.TrainingService/UploadDataset", Scope::kTrain},
      {"ddpt.v1.TrainingService/WatchJob", Scope::kRead},
      {"grpc.health.v1.Health/Check", std::nullopt},
      {"grpc.health.v1.Health/Watch", std::nullopt},
      {"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Scope::kRead},
      {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Scope::kRead},
  };
  const auto found = scopes.find(method);
  return found == scopes.end() ? Scope::kAdmin : found->second;
}

}  // namespace ddpt
