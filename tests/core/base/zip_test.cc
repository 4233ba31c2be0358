#include "core/base/zip.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddpt {
namespace {

using ::testing::HasSubstr;

template <typename Number>
void Append(std::string* bytes, Number number) {
  bytes->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

// An archive of stored entries, written field by field; its fields can be bent.
struct Archive {
  struct Entry {
    std::string name, data;
    uint16_t flags = 0, method = 0;
    int64_t longer = 0;  // than the data, in the directory
    uint32_t local_signature = 0x04034b50;
  };
  std::vector<Entry> entries;
  bool zip64 = false;
  std::string comment;
  uint64_t more_entries = 0;

  std::string Bytes() const {
    std::string bytes, directory;
    for (const Entry& entry : entries) {
      const uint64_t offset = bytes.size();
      Append(&bytes, entry.local_signature);
      bytes.append(22, '\0');
      Append<uint16_t>(&bytes, entry.name.size());
      Append<uint16_t>(&bytes, 5);
      bytes += entry.name + "extra" + entry.data;
      AddToDirectory(entry, offset, &directory);
    }
    const uint64_t begin = bytes.size();
    bytes += directory;
    if (zip64) AddEnd64(begin, directory.size(), &bytes);
    Append<uint32_t>(&bytes, 0x06054b50);
    Append<uint32_t>(&bytes, 0);
    Append<uint16_t>(&bytes, 0);
    Append<uint16_t>(&bytes, zip64 ? 0xffff : entries.size() + more_entries);
    Append<uint32_t>(&bytes, zip64 ? 0xffffffff : directory.size());
    Append<uint32_t>(&bytes, zip64 ? 0xffffffff : begin);
    Append<uint16_t>(&bytes, comment.size());
    return bytes + comment;
  }

 private:
  void AddToDirectory(const Entry& entry, uint64_t offset, std::string* directory) const {
    const uint64_t size = entry.data.size() + entry.longer;
    Append<uint32_t>(directory, 0x02014b50);
    Append<uint32_t>(directory, 0);
    Append<uint16_t>(directory, entry.flags);
    Append<uint16_t>(directory, entry.method);
    Append<uint64_t>(directory, 0);
    Append<uint32_t>(directory, zip64 ? 0xffffffff : size);
    Append<uint32_t>(directory, zip64 ? 0xffffffff : size);
    Append<uint16_t>(directory, entry.name.size());
    Append<uint16_t>(directory, zip64 ? 28 + 6 : 0);
    Append<uint16_t>(directory, 0);
    Append<uint64_t>(directory, 0);
    Append<uint32_t>(directory, zip64 ? 0xffffffff : offset);
    *directory += entry.name;
    if (!zip64) return;
    Append<uint16_t>(directory, 0x7777);  // a field of someone else
    Append<uint16_t>(directory, 2);
    directory->append(2, 'x');
    Append<uint16_t>(directory, 1);
    Append<uint16_t>(directory, 24);
    for (const uint64_t value : {size, size, offset}) Append(directory, value);
  }

  void AddEnd64(uint64_t begin, uint64_t size, std::string* bytes) const {
    const uint64_t at = bytes->size();
    Append<uint32_t>(bytes, 0x06064b50);
    Append<uint64_t>(bytes, 44);
    Append<uint32_t>(bytes, 0);
    Append<uint64_t>(bytes, 0);
    Append<uint64_t>(bytes, entries.size());
    Append<uint64_t>(bytes, entries.size() + more_entries);
    Append(bytes, size);
    Append(bytes, begin);
    Append<uint32_t>(bytes, 0x07064b50);
    Append<uint32_t>(bytes, 0);
    Append(bytes, at);
    Append<uint32_t>(bytes, 1);
  }
};

Archive Two() {
  Archive archive;
  archive.entries = {{.name = "a/data.pkl", .data = "hello"}, {.name = "a/data/0", .data = ""}};
  return archive;
}

std::string Problem(const std::string& bytes) {
  const auto entries = ReadStoredZip(bytes);
  if (entries.ok()) return "accepted";
  EXPECT_EQ(entries.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(entries.status().message());
}

TEST(ZipTest, ViewsItsEntries) {
  for (const bool zip64 : {false, true}) {
    Archive archive = Two();
    archive.zip64 = zip64;
    archive.comment = "PK is no end";
    const std::string bytes = archive.Bytes();
    const auto entries = ReadStoredZip(bytes);
    ASSERT_TRUE(entries.ok()) << entries.status();
    EXPECT_EQ(entries->size(), 2u);
    EXPECT_EQ(entries->at("a/data.pkl"), "hello");
    EXPECT_EQ(entries->at("a/data/0"), "");
  }
}

TEST(ZipTest, WhatIsNotStoredIsRefused) {
  Archive archive = Two();
  archive.entries[0].method = 8;
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("a/data.pkl is compressed"));
  archive = Two();
  archive.entries[1].flags = 1;
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("a/data/0 is encrypted"));
}

TEST(ZipTest, EntriesThatLeaveTheFileAreRefused) {
  for (const bool zip64 : {false, true}) {
    Archive archive = Two();
    archive.zip64 = zip64;
    archive.entries[0].longer = 5000;
    EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("5005 bytes leaves the file"));
  }
}

TEST(ZipTest, LiesAreRefused) {
  Archive archive = Two();
  archive.entries[1].name = "a/data.pkl";
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("a/data.pkl is there twice"));
  archive = Two();
  archive.entries[1].local_signature = 7;
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("a/data/0 is not at its place"));
  archive = Two();
  archive.more_entries = 1;
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("directory is damaged"));
  archive.zip64 = true;
  archive.more_entries = uint64_t{1} << 60;
  EXPECT_THAT(Problem(archive.Bytes()), HasSubstr("above the limit of 1000000"));
}

TEST(ZipTest, WhatIsCutOffIsRefused) {
  const std::string whole = Two().Bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(Problem(whole.substr(0, size)), "accepted") << size;
  }
}

}  // namespace
}  // namespace ddpt
