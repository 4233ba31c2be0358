#include "core/registry/registry.h"

#include <thread>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/backend.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kAlways = Promotion::kAlways;
constexpr auto kNever = Promotion::kNever;

class RegistryTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (backend_) Open();
  }
  void Open(uint64_t versions_kept = 0) {
    registry_.reset();
    auto registry = backend_->OpenRegistry(
        {.max_tasks = 3, .max_versions_per_task = 4, .versions_kept = versions_kept});
    ASSERT_TRUE(registry.ok()) << registry.status();
    registry_ = *std::move(registry);
  }
  TaskVersion Import(const std::string& task, std::string_view bytes,
                     Promotion promotion = kAlways) {
    const auto version = registry_->ImportVersion(task, bytes, {}, promotion);
    EXPECT_TRUE(version.ok()) << version.status();
    return version.value_or(TaskVersion{});
  }
  uint64_t Active(const std::string& task) const {
    return registry_->GetTask(task).value_or(TaskRecord{}).active_version;
  }
  std::vector<uint64_t> Versions(const std::string& task) const {
    std::vector<uint64_t> numbers;
    const auto versions = registry_->ListVersions(task);
    for (const TaskVersion& version : *versions) numbers.push_back(version.version);
    return numbers;
  }
  // Those of the files that the registry still has, as they were given.
  std::vector<std::string> Kept(const std::vector<std::string>& files) {
    std::vector<std::string> kept;
    for (const std::string& file : files) {
      const auto path = registry_->FetchDenoiser(Sha256Hex(file));
      if (path.ok() && *ReadFile(*path, 100) == file) kept.push_back(file);
    }
    return kept;
  }

  std::unique_ptr<Registry> registry_;
};

INSTANTIATE_TEST_SUITE_P(Stores, RegistryTest, kBackends, NameOfBackend);

TEST_P(RegistryTest, ImportStoresFileAndRecord) {
  const auto version =
      registry_->ImportVersion("sql", "denoiser", {{"reading", "x0"}, {"empty", ""}}, kAlways);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->task, "sql");
  EXPECT_EQ(version->version, 1u);
  EXPECT_EQ(version->digest, Sha256Hex("denoiser"));
  EXPECT_EQ(version->created_at_micros, 1000);
  EXPECT_EQ(version->size_bytes, 8u);
  EXPECT_THAT(version->attributes, ElementsAre(std::pair("empty", ""), std::pair("reading", "x0")));
  EXPECT_EQ(*ReadFile(*registry_->FetchDenoiser(version->digest), 100), "denoiser");
}

TEST_P(RegistryTest, VersionsCountFromOneInEachTask) {
  EXPECT_EQ(Import("a", "1").version, 1u);
  EXPECT_EQ(Import("a", "2").version, 2u);
  EXPECT_EQ(Import("b", "1").version, 1u);
  EXPECT_EQ(registry_->GetTask("a")->version_count, 2u);
  EXPECT_EQ(registry_->GetTask("a")->latest_version, 2u);
}

TEST_P(RegistryTest, PromotionIsTheImportersChoice) {
  Import("a", "1", kNever);
  EXPECT_EQ(Active("a"), 0u);
  Import("a", "2", kAlways);
  EXPECT_EQ(Active("a"), 2u);
  Import("a", "3", kNever);
  EXPECT_EQ(Active("a"), 2u);
}

TEST_P(RegistryTest, ImportOfKnownBytesReturnsTheirVersion) {
  Import("a", "1");
  Import("a", "2");
  EXPECT_EQ(Import("a", "1", kNever).version, 1u);
  EXPECT_EQ(Active("a"), 2u);
  EXPECT_EQ(Import("a", "1", kAlways).version, 1u);
  EXPECT_EQ(Active("a"), 1u);
  EXPECT_EQ(registry_->GetTask("a")->version_count, 2u);
}

TEST_P(RegistryTest, ImportChecksNameAndAttributes) {
  EXPECT_EQ(FieldOf(registry_->ImportVersion("A", "1", {}, kNever).status()), "task");
  const std::string large(64 << 10, 'x');
  EXPECT_EQ(FieldOf(registry_->ImportVersion("a", "1", {{"k", large}}, kNever).status()),
            "attributes");
  std::map<std::string, std::string> many;
  for (int i = 0; i < 65; ++i) many[std::to_string(i)] = "";
  EXPECT_EQ(FieldOf(registry_->ImportVersion("a", "1", many, kNever).status()), "attributes");
  EXPECT_THAT(registry_->ListTasks(10, "")->tasks, IsEmpty());
}

TEST_P(RegistryTest, LimitsOfTasksAndVersionsAreNamed) {
  for (const char* task : {"a", "b", "c"}) Import(task, "1");
  const absl::Status tasks = registry_->ImportVersion("d", "1", {}, kNever).status();
  EXPECT_EQ(tasks.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(tasks.message(), HasSubstr("limit of 3 tasks"));
  for (const char* bytes : {"2", "3", "4"}) Import("a", bytes);
  const absl::Status versions = registry_->ImportVersion("a", "5", {}, kNever).status();
  EXPECT_EQ(versions.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(versions.message(), HasSubstr("task \"a\" has the limit of 4 versions"));
  EXPECT_EQ(Import("a", "4").version, 4u);
}

TEST_P(RegistryTest, UnknownTasksAreNotFoundByName) {
  Import("known", "1");
  for (const absl::Status& status :
       {registry_->GetTask("a").status(), registry_->ListVersions("a").status(),
        registry_->GetVersion("a", 1).status(), registry_->PromoteTask("a", 1, {}).status(),
        registry_->RollbackTask("a", {}).status(), registry_->DeleteTask("a", {})}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr("task \"a\" does not exist"));
  }
}

TEST_P(RegistryTest, GetVersionZeroIsTheActiveOne) {
  Import("a", "1", kNever);
  EXPECT_EQ(registry_->GetVersion("a", 0).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(registry_->GetVersion("a", 1)->digest, Sha256Hex("1"));
  EXPECT_EQ(registry_->GetVersion("a", 2).status().message(), "task \"a\" has no version 2");
  Import("a", "2", kAlways);
  EXPECT_EQ(registry_->GetVersion("a", 0)->version, 2u);
}

TEST_P(RegistryTest, ListVersionsIsNewestFirst) {
  Import("a", "1");
  ASSERT_TRUE(registry_->ImportVersion("a", "2", {{"x", "y"}, {"z", ""}}, kNever).ok());
  Import("b", "3");
  const auto versions = *registry_->ListVersions("a");
  ASSERT_EQ(versions.size(), 2u);
  EXPECT_EQ(versions[0].version, 2u);
  EXPECT_EQ(versions[0].attributes.size(), 2u);
  EXPECT_EQ(versions[1].version, 1u);
  EXPECT_THAT(versions[1].attributes, IsEmpty());
}

TEST_P(RegistryTest, ListTasksPagesInTheOrderOfNames) {
  for (const char* task : {"c", "a", "b"}) Import(task, "1");
  const auto first = *registry_->ListTasks(2, "");
  ASSERT_EQ(first.tasks.size(), 2u);
  EXPECT_EQ(first.tasks[0].name, "a");
  EXPECT_EQ(first.tasks[1].name, "b");
  const auto second = *registry_->ListTasks(2, first.next_page_token);
  ASSERT_EQ(second.tasks.size(), 1u);
  EXPECT_EQ(second.tasks[0].name, "c");
  EXPECT_EQ(second.next_page_token, "");
  EXPECT_EQ(registry_->ListTasks(3, "")->next_page_token, "");
}

TEST_P(RegistryTest, ListTasksChecksItsArguments) {
  EXPECT_EQ(FieldOf(registry_->ListTasks(0, "").status()), "page_size");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1001, "").status()), "page_size");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1, "!").status()), "page_token");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1, std::string(1 << 20, 'a')).status()), "page_token");
}

TEST_P(RegistryTest, PromoteMakesAVersionActive) {
  Import("a", "1");
  Import("a", "2", kNever);
  backend_->Advance(5);
  const auto task = registry_->PromoteTask("a", 2, 1);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->active_version, 2u);
  EXPECT_EQ(task->created_at_micros, 1000);
  EXPECT_EQ(task->updated_at_micros, 1005);
  EXPECT_EQ(registry_->PromoteTask("a", 3, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_->PromoteTask("a", ~uint64_t{0}, {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_P(RegistryTest, AnotherVersionThanExpectedAborts) {
  Import("a", "1");
  Import("a", "2");
  for (const absl::Status& status :
       {registry_->PromoteTask("a", 1, 1).status(), registry_->RollbackTask("a", 1).status(),
        registry_->DeleteTask("a", 1)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(status.message(), HasSubstr("the active version is 2, not the expected 1"));
  }
  EXPECT_EQ(Active("a"), 2u);
}

TEST_P(RegistryTest, ExpectedVersionZeroMeansNoneIsActive) {
  Import("a", "1", kNever);
  EXPECT_TRUE(registry_->PromoteTask("a", 1, 0).ok());
  EXPECT_EQ(registry_->PromoteTask("a", 1, 0).status().code(), absl::StatusCode::kAborted);
}

TEST_P(RegistryTest, RollbackGoesBackStepByStep) {
  for (const char* bytes : {"1", "2", "3"}) Import("a", bytes);
  ASSERT_TRUE(registry_->PromoteTask("a", 1, {}).ok());
  EXPECT_EQ(registry_->RollbackTask("a", 1)->active_version, 3u);
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 2u);
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 1u);
  const absl::Status status = registry_->RollbackTask("a", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("no active version before version 1"));
}

TEST_P(RegistryTest, PromotingTheActiveVersionLeavesNoTrace) {
  Import("a", "1");
  Import("a", "2");
  ASSERT_TRUE(registry_->PromoteTask("a", 2, {}).ok());
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 1u);
}

TEST_P(RegistryTest, AnImportForgetsOlderVersionsAndTheirFiles) {
  Open(/*versions_kept=*/2);
  for (const char* bytes : {"a", "b", "c", "d", "e"}) Import("one", bytes);
  EXPECT_THAT(Versions("one"), ElementsAre(5, 4));
  EXPECT_THAT(Kept({"a", "b", "c", "d", "e"}), ElementsAre("d", "e"));
}

TEST_P(RegistryTest, TheActiveVersionAndTheOneBeforeAreNotForgotten) {
  Open(/*versions_kept=*/1);
  Import("one", "a");
  Import("one", "b");
  for (const char* bytes : {"c", "d", "e"}) Import("one", bytes, kNever);
  EXPECT_THAT(Versions("one"), ElementsAre(5, 2, 1));
  ASSERT_TRUE(registry_->RollbackTask("one", 2).ok());
  EXPECT_EQ(Active("one"), 1u);
}

TEST_P(RegistryTest, AForgottenVersionsFileStaysWhereAnotherTaskUsesIt) {
  Open(/*versions_kept=*/1);
  Import("other", "a");
  for (const char* bytes : {"a", "b", "c"}) Import("one", bytes);
  EXPECT_THAT(Versions("one"), ElementsAre(3, 2));
  EXPECT_THAT(Kept({"a", "b", "c"}), ElementsAre("a", "b", "c"));
}

TEST_P(RegistryTest, DeleteRemovesTheFilesThatNoOtherTaskUses) {
  Import("a", "shared");
  Import("a", "own");
  Import("b", "shared");
  ASSERT_TRUE(registry_->DeleteTask("a", 2).ok());
  EXPECT_THAT(Kept({"shared", "own"}), ElementsAre("shared"));
  EXPECT_EQ(registry_->GetTask("a").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(registry_->DeleteTask("b", {}).ok());
  EXPECT_THAT(Kept({"shared", "own"}), IsEmpty());
}

TEST_P(RegistryTest, ADeletedTaskCanBeMadeAgain) {
  Import("a", "1");
  Import("a", "2");
  ASSERT_TRUE(registry_->DeleteTask("a", {}).ok());
  EXPECT_EQ(Import("a", "2").version, 1u);
  EXPECT_EQ(registry_->RollbackTask("a", {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_P(RegistryTest, EverythingSurvivesReopening) {
  ASSERT_TRUE(registry_->ImportVersion("a", "1", {{"reading", "x0"}}, kAlways).ok());
  Import("a", "2");
  Import("b", "1", kNever);
  Open();
  EXPECT_EQ(registry_->ListTasks(10, "")->tasks.size(), 2u);
  EXPECT_EQ(Active("a"), 2u);
  EXPECT_EQ(Active("b"), 0u);
  EXPECT_EQ(registry_->GetVersion("a", 1)->attributes.at("reading"), "x0");
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 1u);
}

TEST_P(RegistryTest, ConcurrentCallsLoseNothing) {
  const auto import = [this](const std::string& prefix) {
    for (const char* suffix : {"1", "2"}) Import("a", prefix + suffix);
  };
  std::thread first(import, "x"), second(import, "y");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(registry_->ListTasks(10, "").ok());
  first.join();
  second.join();
  EXPECT_EQ(registry_->GetTask("a")->version_count, 4u);
}

TEST_P(RegistryTest, FetchChecksItsArgument) {
  EXPECT_EQ(FieldOf(registry_->FetchDenoiser("../x").status()), "digest");
  EXPECT_EQ(registry_->FetchDenoiser(Sha256Hex("x")).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(RegistryTest, ALargeFileComesBackWhole) {
  std::string large(3'000'000, 'x');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 256);
  Import("a", large);
  Open();
  EXPECT_EQ(*ReadFile(*registry_->FetchDenoiser(Sha256Hex(large)), large.size()), large);
}

}  // namespace
}  // namespace ddpt
