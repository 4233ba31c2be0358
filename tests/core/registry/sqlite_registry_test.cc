#include "core/registry/sqlite_registry.h"

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "core/base/digest.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/registry/temporary_folder.h"
#include "tests/fakes/fake_clock.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr auto kAlways = Promotion::kAlways;
constexpr auto kNever = Promotion::kNever;

class SqliteRegistryTest : public ::testing::Test {
 protected:
  SqliteRegistryTest() { Open(); }

  void Open() {
    registry_.reset();
    auto registry = SqliteRegistry::Open({.state_directory = State(), .clock = &clock_});
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

TEST_F(SqliteRegistryTest, ImportOfKnownBytesRestoresALostFile) {
  const std::string path = *registry_->FetchDenoiser(Import("a", "1").digest);
  std::filesystem::remove(path);
  Import("a", "1");
  EXPECT_EQ(*ReadFile(path, 100), "1");
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
