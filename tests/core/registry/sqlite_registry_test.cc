#include "core/registry/sqlite_registry.h"

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "core/base/digest.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"
#include "tests/fakes/fake_clock.h"

namespace ddpt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr auto kAlways = Promotion::kAlways;
constexpr auto kNever = Promotion::kNever;

class SqliteRegistryTest : public ::testing::Test {
 protected:
  SqliteRegistryTest() { Open(); }

  void Open(uint64_t versions_kept = 0) {
    registry_.reset();
    auto registry = SqliteRegistry::Open({.state_directory = State(),
                                          .max_tasks = 3,
                                          .max_versions_per_task = 4,
                                          .versions_kept = versions_kept,
                                          .clock = &clock_});
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
  std::string State() const { return folder_.path() + "/state"; }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(State() + "/denoisers")) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  static std::string FileNameOf(std::string_view bytes) {
    return Sha256Hex(bytes) + ".safetensors";
  }

  TemporaryFolder folder_;
  FakeClock clock_{1000};
  std::unique_ptr<SqliteRegistry> registry_;
};

TEST_F(SqliteRegistryTest, ImportStoresFileAndRecord) {
  const auto version =
      registry_->ImportVersion("sql", "denoiser", {{"reading", "x0"}, {"empty", ""}}, kAlways);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->task, "sql");
  EXPECT_EQ(version->version, 1u);
  EXPECT_EQ(version->digest, Sha256Hex("denoiser"));
  EXPECT_EQ(version->created_at_micros, 1000);
  EXPECT_EQ(version->size_bytes, 8u);
  EXPECT_THAT(version->attributes, ElementsAre(std::pair("empty", ""), std::pair("reading", "x0")));
  EXPECT_EQ(*ReadFile(version->path, 100), "denoiser");
}

TEST_F(SqliteRegistryTest, VersionsCountFromOneInEachTask) {
  EXPECT_EQ(Import("a", "1").version, 1u);
  EXPECT_EQ(Import("a", "2").version, 2u);
  EXPECT_EQ(Import("b", "1").version, 1u);
  EXPECT_EQ(registry_->GetTask("a")->version_count, 2u);
  EXPECT_EQ(registry_->GetTask("a")->latest_version, 2u);
}

TEST_F(SqliteRegistryTest, PromotionIsTheImportersChoice) {
  Import("a", "1", kNever);
  EXPECT_EQ(Active("a"), 0u);
  Import("a", "2", kAlways);
  EXPECT_EQ(Active("a"), 2u);
  Import("a", "3", kNever);
  EXPECT_EQ(Active("a"), 2u);
}

TEST_F(SqliteRegistryTest, ImportOfKnownBytesReturnsTheirVersion) {
  Import("a", "1");
  Import("a", "2");
  EXPECT_EQ(Import("a", "1", kNever).version, 1u);
  EXPECT_EQ(Active("a"), 2u);
  EXPECT_EQ(Import("a", "1", kAlways).version, 1u);
  EXPECT_EQ(Active("a"), 1u);
  EXPECT_EQ(registry_->GetTask("a")->version_count, 2u);
}

TEST_F(SqliteRegistryTest, ImportOfKnownBytesRestoresALostFile) {
  const std::string path = Import("a", "1").path;
  std::filesystem::remove(path);
  Import("a", "1");
  EXPECT_EQ(*ReadFile(path, 100), "1");
}

TEST_F(SqliteRegistryTest, ImportChecksNameAndAttributes) {
  EXPECT_EQ(FieldOf(registry_->ImportVersion("A", "1", {}, kNever).status()), "task");
  const std::string large(64 << 10, 'x');
  EXPECT_EQ(FieldOf(registry_->ImportVersion("a", "1", {{"k", large}}, kNever).status()),
            "attributes");
  std::map<std::string, std::string> many;
  for (int i = 0; i < 65; ++i) many[std::to_string(i)] = "";
  EXPECT_EQ(FieldOf(registry_->ImportVersion("a", "1", many, kNever).status()), "attributes");
  EXPECT_THAT(registry_->ListTasks(10, "")->tasks, IsEmpty());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(SqliteRegistryTest, LimitsOfTasksAndVersionsAreNamed) {
  for (const char* task : {"a", "b", "c"}) Import(task, "1");
  const absl::Status tasks = registry_->ImportVersion("d", "1", {}, kNever).status();
  EXPECT_EQ(tasks.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(tasks.message(), HasSubstr("limit of 3 tasks"));
  for (const char* bytes : {"2", "3", "4"}) Import("a", bytes);
  const absl::Status versions = registry_->ImportVersion("a", "5", {}, kNever).status();
  EXPECT_EQ(versions.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(versions.message(), HasSubstr("task \"a\" has the limit of 4 versions"));
  EXPECT_EQ(Import("a", "4").version, 4u);
  EXPECT_EQ(Files().size(), 4u);
}

TEST_F(SqliteRegistryTest, UnknownTasksAreNotFoundByName) {
  Import("known", "1");
  for (const absl::Status& status :
       {registry_->GetTask("a").status(), registry_->ListVersions("a").status(),
        registry_->GetVersion("a", 1).status(), registry_->PromoteTask("a", 1, {}).status(),
        registry_->RollbackTask("a", {}).status(), registry_->DeleteTask("a", {})}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr("task \"a\" does not exist"));
  }
}

TEST_F(SqliteRegistryTest, GetVersionZeroIsTheActiveOne) {
  Import("a", "1", kNever);
  EXPECT_EQ(registry_->GetVersion("a", 0).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(registry_->GetVersion("a", 1)->digest, Sha256Hex("1"));
  EXPECT_EQ(registry_->GetVersion("a", 2).status().message(), "task \"a\" has no version 2");
  Import("a", "2", kAlways);
  EXPECT_EQ(registry_->GetVersion("a", 0)->version, 2u);
}

TEST_F(SqliteRegistryTest, ListVersionsIsNewestFirst) {
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

TEST_F(SqliteRegistryTest, ListTasksPagesInTheOrderOfNames) {
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

TEST_F(SqliteRegistryTest, ListTasksChecksItsArguments) {
  EXPECT_EQ(FieldOf(registry_->ListTasks(0, "").status()), "page_size");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1001, "").status()), "page_size");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1, "!").status()), "page_token");
  EXPECT_EQ(FieldOf(registry_->ListTasks(1, std::string(1 << 20, 'a')).status()), "page_token");
}

TEST_F(SqliteRegistryTest, PromoteMakesAVersionActive) {
  Import("a", "1");
  Import("a", "2", kNever);
  clock_.Advance(5);
  const auto task = registry_->PromoteTask("a", 2, 1);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->active_version, 2u);
  EXPECT_EQ(task->created_at_micros, 1000);
  EXPECT_EQ(task->updated_at_micros, 1005);
  EXPECT_EQ(registry_->PromoteTask("a", 3, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry_->PromoteTask("a", ~uint64_t{0}, {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SqliteRegistryTest, AnotherVersionThanExpectedAborts) {
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

TEST_F(SqliteRegistryTest, ExpectedVersionZeroMeansNoneIsActive) {
  Import("a", "1", kNever);
  EXPECT_TRUE(registry_->PromoteTask("a", 1, 0).ok());
  EXPECT_EQ(registry_->PromoteTask("a", 1, 0).status().code(), absl::StatusCode::kAborted);
}

TEST_F(SqliteRegistryTest, RollbackGoesBackStepByStep) {
  for (const char* bytes : {"1", "2", "3"}) Import("a", bytes);
  ASSERT_TRUE(registry_->PromoteTask("a", 1, {}).ok());
  EXPECT_EQ(registry_->RollbackTask("a", 1)->active_version, 3u);
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 2u);
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 1u);
  const absl::Status status = registry_->RollbackTask("a", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("no active version before version 1"));
}

TEST_F(SqliteRegistryTest, PromotingTheActiveVersionLeavesNoTrace) {
  Import("a", "1");
  Import("a", "2");
  ASSERT_TRUE(registry_->PromoteTask("a", 2, {}).ok());
  EXPECT_EQ(registry_->RollbackTask("a", {})->active_version, 1u);
}

TEST_F(SqliteRegistryTest, AnImportForgetsOlderVersionsAndTheirFiles) {
  Open(/*versions_kept=*/2);
  for (const char* bytes : {"a", "b", "c", "d", "e"}) Import("one", bytes);
  EXPECT_THAT(Versions("one"), ElementsAre(5, 4));
  EXPECT_THAT(Files(), UnorderedElementsAre(FileNameOf("d"), FileNameOf("e")));
}

TEST_F(SqliteRegistryTest, TheActiveVersionAndTheOneBeforeAreNotForgotten) {
  Open(/*versions_kept=*/1);
  Import("one", "a");
  Import("one", "b");
  for (const char* bytes : {"c", "d", "e"}) Import("one", bytes, kNever);
  EXPECT_THAT(Versions("one"), ElementsAre(5, 2, 1));
  ASSERT_TRUE(registry_->RollbackTask("one", 2).ok());
  EXPECT_EQ(Active("one"), 1u);
}

TEST_F(SqliteRegistryTest, AForgottenVersionsFileStaysWhereAnotherTaskUsesIt) {
  Open(/*versions_kept=*/1);
  Import("other", "a");
  for (const char* bytes : {"a", "b", "c"}) Import("one", bytes);
  EXPECT_THAT(Versions("one"), ElementsAre(3, 2));
  EXPECT_TRUE(std::filesystem::exists(registry_->GetVersion("other", 1)->path));
}

TEST_F(SqliteRegistryTest, DeleteRemovesTheFilesThatNoOtherTaskUses) {
  Import("a", "shared");
  Import("a", "own");
  Import("b", "shared");
  ASSERT_TRUE(registry_->DeleteTask("a", 2).ok());
  EXPECT_THAT(Files(), ElementsAre(FileNameOf("shared")));
  EXPECT_EQ(registry_->GetTask("a").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(registry_->DeleteTask("b", {}).ok());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(SqliteRegistryTest, ADeletedTaskCanBeMadeAgain) {
  Import("a", "1");
  Import("a", "2");
  ASSERT_TRUE(registry_->DeleteTask("a", {}).ok());
  EXPECT_EQ(Import("a", "2").version, 1u);
  EXPECT_EQ(registry_->RollbackTask("a", {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteRegistryTest, EverythingSurvivesReopening) {
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

TEST_F(SqliteRegistryTest, OpenRemovesWhatACrashLeftAndNothingElse) {
  Import("a", "1");
  const std::string folder = State() + "/denoisers/";
  for (const std::string& name : {FileNameOf("crashed"), FileNameOf("1") + ".tmp.Xy01ab",
                                  std::string("README"), std::string("x.safetensors")}) {
    ASSERT_TRUE(WriteFileAtomic(folder + name, "x").ok());
  }
  Open();
  EXPECT_THAT(Files(), UnorderedElementsAre(FileNameOf("1"), "README", "x.safetensors"));
  EXPECT_EQ(Import("a", "crashed").version, 2u);
}

TEST_F(SqliteRegistryTest, ASecondServerIsToldWhoHasTheDirectory) {
  const absl::Status status = SqliteRegistry::Open({.state_directory = State()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr(State() + "/lock"));
  EXPECT_THAT(status.message(), HasSubstr(std::to_string(getpid())));
}

TEST_F(SqliteRegistryTest, ConcurrentCallsLoseNothing) {
  const auto import = [this](const std::string& prefix) {
    for (const char* suffix : {"1", "2"}) Import("a", prefix + suffix);
  };
  std::thread first(import, "x"), second(import, "y");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(registry_->ListTasks(10, "").ok());
  first.join();
  second.join();
  EXPECT_EQ(registry_->GetTask("a")->version_count, 4u);
  EXPECT_EQ(Files().size(), 4u);
}

// The same registry on a file system of half a mebibyte.
class FullDiskTest : public SqliteRegistryTest {
 protected:
  void SetUp() override {
    registry_.reset();
    if (mount("tmpfs", State().c_str(), "tmpfs", 0, "size=512k") != 0) {
      GTEST_SKIP() << "needs the right to mount a small file system";
    }
    mounted_ = true;
    Open();
    Import("a", "1");
    Import("a", "2", kNever);
  }
  void TearDown() override {
    registry_.reset();
    if (mounted_) umount2(State().c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(FullDiskTest, AFileThatDoesNotFitLeavesNothing) {
  const std::string large(1 << 20, 'x');
  const absl::Status status = registry_->ImportVersion("b", large, {}, kAlways).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(registry_->GetTask("b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Files(), UnorderedElementsAre(FileNameOf("1"), FileNameOf("2")));
}

TEST_F(FullDiskTest, ARecordThatDoesNotFitLeavesTheOldState) {
  const std::string filler = State() + "/filler";
  std::ofstream(filler) << std::string(1 << 20, 'x');
  const absl::Status status = registry_->PromoteTask("a", 2, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(Active("a"), 1u);
  std::filesystem::remove(filler);
  EXPECT_TRUE(registry_->PromoteTask("a", 2, {}).ok());
}

}  // namespace
}  // namespace ddpt
