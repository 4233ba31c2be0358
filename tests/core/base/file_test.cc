#include "core/base/file.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kLimit = 1 << 20;

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string pattern = ::testing::TempDir() + "/file_test.XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  std::string folder_;
};

TEST_F(FileTest, ReadsWhatWasWritten) {
  const std::string bytes("a\0b\n", 4);
  ASSERT_TRUE(WriteFileAtomic(Path("x"), bytes).ok());
  EXPECT_EQ(*ReadFile(Path("x"), kLimit), bytes);
}

TEST_F(FileTest, WriteReplacesAndLeavesNoTemporaryFile) {
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "old and longer").ok());
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "new").ok());
  EXPECT_EQ(*ReadFile(Path("x"), kLimit), "new");
  EXPECT_THAT(Names(), ::testing::ElementsAre("x"));
}

TEST_F(FileTest, ReadRefusesMoreThanTheLimit) {
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("x"), 5).ok());
  const auto read = ReadFile(Path("x"), 4);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(read.status().message(), HasSubstr("has 5 bytes, more than the 4 allowed"));
}

TEST_F(FileTest, MissingFilesAreNotFoundByName) {
  for (const absl::Status& status :
       {ReadFile(Path("no"), kLimit).status(), MappedFile::Open(Path("no")).status(),
        WriteFileAtomic(Path("no/x"), "1"), FileLock::Acquire(Path("no/x")).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(status.message(), HasSubstr(Path("no")));
  }
}

TEST_F(FileTest, FoldersAreNotFiles) {
  EXPECT_EQ(ReadFile(folder_, kLimit).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MappedFile::Open(folder_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, WriteReplacesRegularFilesOnly) {
  const std::string pipe = Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const absl::Status status = WriteFileAtomic(pipe, "bytes");
  EXPECT_EQ(status, absl::InvalidArgumentError(pipe + " is not a regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST_F(FileTest, FailedWriteKeepsTheOldStateAndRemovesTheTemporaryFile) {
  ASSERT_EQ(mkdir(Path("x").c_str(), 0755), 0);
  EXPECT_FALSE(WriteFileAtomic(Path("x"), "1").ok());
  EXPECT_THAT(Names(), ::testing::ElementsAre("x"));
}

TEST_F(FileTest, MapsTheBytesAndKeepsThemAfterAReplacement) {
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "first").ok());
  const auto mapped = MappedFile::Open(Path("x"));
  ASSERT_TRUE(mapped.ok());
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "2").ok());
  EXPECT_EQ((*mapped)->bytes(), "first");
}

TEST_F(FileTest, MapsAnEmptyFile) {
  ASSERT_TRUE(WriteFileAtomic(Path("x"), "").ok());
  const auto mapped = MappedFile::Open(Path("x"));
  ASSERT_TRUE(mapped.ok());
  EXPECT_THAT((*mapped)->bytes(), IsEmpty());
}

TEST_F(FileTest, SecondLockNamesPathAndHolder) {
  const auto first = FileLock::Acquire(Path("lock"));
  ASSERT_TRUE(first.ok());
  const auto second = FileLock::Acquire(Path("lock"));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr(Path("lock")));
  EXPECT_THAT(second.status().message(), HasSubstr("process " + std::to_string(getpid())));
}

TEST_F(FileTest, LockIsFreeAfterDestruction) {
  ASSERT_TRUE(FileLock::Acquire(Path("lock")).ok());
  EXPECT_TRUE(FileLock::Acquire(Path("lock")).ok());
}

TEST_F(FileTest, LockEndsWithItsProcess) {
  const pid_t child = fork();
  if (child == 0) _exit(FileLock::Acquire(Path("lock")).ok() ? 0 : 1);
  int exit_status = -1;
  ASSERT_EQ(waitpid(child, &exit_status, 0), child);
  EXPECT_EQ(exit_status, 0);
  EXPECT_TRUE(FileLock::Acquire(Path("lock")).ok());
}

TEST_F(FileTest, FullDiskIsResourceExhaustedAndLeavesNothing) {
  if (mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "needs the right to mount a small file system";
  }
  EXPECT_TRUE(WriteFileAtomic(Path("x"), "old").ok());
  const absl::Status status = WriteFileAtomic(Path("x"), std::string(1 << 20, 'a'));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(*ReadFile(Path("x"), kLimit), "old");
  EXPECT_THAT(Names(), ::testing::ElementsAre("x"));
  umount(folder_.c_str());
}

TEST_F(FileTest, ReleasedBytesStayReadable) {
  const std::string path = testing::TempDir() + "/released";
  const std::string bytes(100'000, 'x');
  ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
  const auto file = MappedFile::Open(path).value();
  file->Release(file->bytes());
  file->Release(file->bytes().substr(5000, 7));
  file->Release(file->bytes().substr(5000, 20'000));
  EXPECT_EQ(file->bytes(), bytes);
}

TEST_F(FileTest, WhatIsNotItsOwnIsNotReleased) {
  const std::string path = testing::TempDir() + "/not_released";
  ASSERT_TRUE(WriteFileAtomic(path, "x").ok());
  const std::string memory(100'000, 'x');
  MappedFile::Open(path).value()->Release(memory);
  EXPECT_EQ(memory, std::string(100'000, 'x'));
}

}  // namespace
}  // namespace ddpt
