#include "core/base/zip.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr size_t kEndBytes = 22, kLocator64Bytes = 20, kLocalBytes = 30;
constexpr size_t kMaxComment = 65535;
constexpr uint64_t kMaxEntries = 1'000'000;
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kEncrypted = 1;

template <typename... Pieces>
absl::Status Lie(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat("zip archive: ", pieces...));
}

// Reads little-endian numbers one after another; past the end they are 0 and ok() is false.
class Cursor {
 public:
  Cursor(std::string_view bytes, uint64_t at) : bytes_(bytes), at_(at) {}

  template <typename Number>
  Number Read() {
    Number value{};
    const std::string_view piece = Bytes(sizeof(value));
    if (piece.size() == sizeof(value)) std::memcpy(&value, piece.data(), sizeof(value));
    return value;
  }
  std::string_view Bytes(uint64_t count) {
    if (!ok_ || at_ > bytes_.size() || count > bytes_.size() - at_) {
      ok_ = false;
      return {};
    }
    const std::string_view piece = bytes_.substr(at_, count);
    at_ += count;
    return piece;
  }
  void Skip(uint64_t count) { Bytes(count); }
  bool ok() const { return ok_; }
  uint64_t at() const { return at_; }

 private:
  std::string_view bytes_;
  uint64_t at_;
  bool ok_ = true;
};

struct Directory {
  uint64_t entries = 0, size = 0, offset = 0;
};

absl::StatusOr<uint64_t> FindEnd(std::string_view bytes) {
  if (bytes.size() >= kEndBytes) {
    const uint64_t last = bytes.size() - kEndBytes;
    const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (uint64_t at = last + 1; at-- > first;) {
      if (Cursor(bytes, at).Read<uint32_t>() == kEndSignature) return at;
    }
  }
  return Lie("has no end record; is the file cut off?");
}

absl::StatusOr<Directory> ReadDirectory64(std::string_view bytes, uint64_t end) {
  Cursor locator(bytes, end >= kLocator64Bytes ? end - kLocator64Bytes : bytes.size());
  if (locator.Read<uint32_t>() != kLocator64Signature) return Lie("has no zip64 locator");
  locator.Skip(4);
  Cursor record(bytes, locator.Read<uint64_t>());
  if (record.Read<uint32_t>() != kEnd64Signature) return Lie("has no zip64 end record");
  record.Skip(8 + 2 + 2 + 4 + 4 + 8);
  Directory directory;
  directory.entries = record.Read<uint64_t>();
  directory.size = record.Read<uint64_t>();
  directory.offset = record.Read<uint64_t>();
  if (!record.ok()) return Lie("its zip64 end record leaves the file");
  return directory;
}

absl::StatusOr<Directory> ReadDirectory(std::string_view bytes) {
  DDPT_ASSIGN_OR_RETURN(const uint64_t end, FindEnd(bytes));
  Cursor record(bytes, end + 4);
  const auto disk = record.Read<uint16_t>(), directory_disk = record.Read<uint16_t>();
  record.Skip(2);
  Directory directory;
  directory.entries = record.Read<uint16_t>();
  directory.size = record.Read<uint32_t>();
  directory.offset = record.Read<uint32_t>();
  if (directory.entries == 0xffff || directory.size == 0xffffffff ||
      directory.offset == 0xffffffff) {
    DDPT_ASSIGN_OR_RETURN(directory, ReadDirectory64(bytes, end));
  } else if (disk != 0 || directory_disk != 0) {
    return Lie("is one part of several");
  }
  if (directory.entries > kMaxEntries) {
    return Lie(directory.entries, " entries are above the limit of ", kMaxEntries);
  }
  if (directory.offset > bytes.size() || directory.size > bytes.size() - directory.offset) {
    return Lie("its directory leaves the file of ", bytes.size(), " bytes");
  }
  return directory;
}

struct Entry {
  std::string name;
  uint16_t flags = 0, method = 0;
  uint64_t stored = 0, size = 0, offset = 0;
};

// Sizes that do not fit stand in a field of their own, in this order.
void ReadZip64Field(std::string_view extra, Entry* entry) {
  Cursor fields(extra, 0);
  while (fields.ok() && fields.at() < extra.size()) {
    const auto id = fields.Read<uint16_t>();
    const std::string_view field = fields.Bytes(fields.Read<uint16_t>());
    if (id != kZip64Field) continue;
    Cursor values(field, 0);
    for (uint64_t* value : {&entry->size, &entry->stored, &entry->offset}) {
      if (*value == 0xffffffff) *value = values.Read<uint64_t>();
    }
    return;
  }
}

absl::StatusOr<Entry> ReadEntry(Cursor& directory) {
  if (directory.Read<uint32_t>() != kEntrySignature) return Lie("its directory is damaged");
  Entry entry;
  directory.Skip(2 + 2);
  entry.flags = directory.Read<uint16_t>();
  entry.method = directory.Read<uint16_t>();
  directory.Skip(2 + 2 + 4);
  entry.stored = directory.Read<uint32_t>();
  entry.size = directory.Read<uint32_t>();
  const auto name = directory.Read<uint16_t>(), extra = directory.Read<uint16_t>(),
             comment = directory.Read<uint16_t>();
  directory.Skip(2 + 2 + 4);
  entry.offset = directory.Read<uint32_t>();
  entry.name = std::string(directory.Bytes(name));
  ReadZip64Field(directory.Bytes(extra), &entry);
  directory.Skip(comment);
  if (!directory.ok()) return Lie("its directory ends inside an entry");
  return entry;
}

absl::StatusOr<std::string_view> View(std::string_view bytes, const Entry& entry) {
  const std::string name = absl::CHexEscape(entry.name);
  if ((entry.flags & kEncrypted) != 0) return Lie("entry ", name, " is encrypted");
  if (entry.method != 0 || entry.stored != entry.size) return Lie("entry ", name, " is compressed");
  Cursor local(bytes, entry.offset);
  if (local.Read<uint32_t>() != kLocalSignature) return Lie("entry ", name, " is not at its place");
  local.Skip(kLocalBytes - 4 - 4);
  const auto name_length = local.Read<uint16_t>(), extra_length = local.Read<uint16_t>();
  local.Skip(uint64_t{name_length} + extra_length);
  const std::string_view data = local.Bytes(entry.size);
  if (!local.ok()) return Lie("entry ", name, " of ", entry.size, " bytes leaves the file");
  return data;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string_view>> ReadStoredZip(std::string_view bytes) {
  DDPT_ASSIGN_OR_RETURN(const Directory directory, ReadDirectory(bytes));
  Cursor cursor(bytes.substr(directory.offset, directory.size), 0);
  std::map<std::string, std::string_view> entries;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    DDPT_ASSIGN_OR_RETURN(Entry entry, ReadEntry(cursor));
    DDPT_ASSIGN_OR_RETURN(const std::string_view data, View(bytes, entry));
    if (!entries.emplace(entry.name, data).second) {
      return Lie("entry ", absl::CHexEscape(entry.name), " is there twice");
    }
  }
  return entries;
}

}  // namespace ddpt
