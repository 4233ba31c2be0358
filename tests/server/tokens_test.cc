#include "server/tokens.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/digest.h"
#include "ddpt/v1/code.pb.h"
#include "ddpt/v1/evaluation.pb.h"
#include "ddpt/v1/model.pb.h"
#include "ddpt/v1/prompt.pb.h"
#include "ddpt/v1/task.pb.h"
#include "ddpt/v1/training.pb.h"

namespace ddpt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string ErrorOf(const std::string& text) {
  return std::string(ParseTokens(text).status().message());
}

TEST(TokensTest, LinesAreDigestScopesAndName) {
  const std::string digest = Sha256Hex("secret");
  const auto tokens = ParseTokens("# ours\n\n" + digest + "\tsample,read  build-7@ci\n");
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 1u);
  EXPECT_EQ((*tokens)[0].digest.size(), 32u);
  EXPECT_THAT((*tokens)[0].scopes, ElementsAre(Scope::kSample, Scope::kRead));
  EXPECT_EQ((*tokens)[0].name, "build-7@ci");
}

TEST(TokensTest, AFileWithoutTokensIsValid) { EXPECT_TRUE(ParseTokens("# nobody\n")->empty()); }

TEST(TokensTest, ErrorsNameTheLineAndQuoteNothing) {
  const std::string digest = Sha256Hex("secret");
  EXPECT_THAT(ErrorOf("# ours\nsecret read alice\n"), HasSubstr("line 2 does not begin with"));
  EXPECT_THAT(ErrorOf("secret read alice\n"), Not(HasSubstr("secret")));
  EXPECT_THAT(ErrorOf(digest + " read\n"), HasSubstr("line 1 is not SHA-256-IN-HEX SCOPE"));
  EXPECT_THAT(ErrorOf(digest + " read,write alice\n"), HasSubstr("line 1 has a scope other than"));
  EXPECT_THAT(ErrorOf(digest + " read al\"ice\n"), HasSubstr("line 1 has a name that is not"));
  EXPECT_THAT(ErrorOf(digest + " read a\n" + digest + " train b\n"),
              HasSubstr("line 2 has the SHA-256 of another"));
}

TEST(TokensTest, ThereIsALimitOfTokens) {
  std::string text;
  for (int i = 0; i < 1024; ++i) absl::StrAppend(&text, Sha256Hex(std::to_string(i)), " read a\n");
  EXPECT_TRUE(ParseTokens(text).ok());
  EXPECT_THAT(ErrorOf(text + Sha256Hex("more") + " read a\n"), HasSubstr("the limit of 1024"));
}

// A method that is forgotten asks for admin, and so shows here.
TEST(ScopeTest, EveryMethodOfTheContractHasOne) {
  std::map<std::string, std::set<std::string>> methods;
  for (const auto* file :
       {v1::GenerateRequest::descriptor()->file(), v1::EvaluateRequest::descriptor()->file(),
        v1::GetModelRequest::descriptor()->file(), v1::SampleRequest::descriptor()->file(),
        v1::GetTaskRequest::descriptor()->file(), v1::TrainRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        const std::string name = service->method(j)->name();
        const auto scope = ScopeOf(service->full_name() + "/" + name);
        ASSERT_TRUE(scope.has_value()) << name << " is open to all";
        methods[std::string(ScopeName(*scope))].insert(name);
      }
    }
  }
  using Names = std::set<std::string>;
  EXPECT_EQ(methods["admin"], (Names{"DeleteTask", "ImportTask", "PromoteTask", "RollbackTask"}));
  EXPECT_EQ(methods["train"], (Names{"CancelJob", "Train", "UploadDataset"}));
  EXPECT_EQ(methods["read"], (Names{"Describe", "GetJob", "GetModel", "GetTask", "ListJobs",
                                    "ListTasks", "WatchJob"}));
  EXPECT_EQ(methods["sample"], (Names{"Detokenize", "EmbedTokens", "Evaluate", "Generate", "Replay",
                                      "Sample", "Score", "Tokenize"}));
}

TEST(ScopeTest, HealthIsOpenAndWhatIsUnknownIsNot) {
  EXPECT_EQ(ScopeOf("grpc.health.v1.Health/Check"), std::nullopt);
  EXPECT_EQ(ScopeOf("grpc.channelz.v1.Channelz/GetServers"), Scope::kAdmin);
}

}  // namespace
}  // namespace ddpt
