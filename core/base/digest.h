#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ddpt {

// SHA-256 over bytes fed in any number of pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  // 32 raw bytes. The object must not be used afterwards.
  std::string Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// 64 lower-case hexadecimal digits of SHA-256.
std::string Sha256Hex(std::string_view bytes);

// CRC-32C (Castagnoli), as used by prompt ids to check a replay.
uint32_t Crc32c(std::string_view bytes);

}  // namespace ddpt
