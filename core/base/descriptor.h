#pragma once

#include <unistd.h>

#include <utility>

namespace ddpt {

// Owns an open file descriptor and closes it. Not thread-safe.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { Close(); }

  int number() const { return number_; }  // -1: none
  bool open() const { return number_ >= 0; }
  void Close() {
    if (open()) close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

}  // namespace ddpt
