#pragma once

#include <cstdlib>
#include <string>

namespace ddpt {

// Where base models of tests, and the servers of tests with all they do, compute: DDPT_TEST_DEVICE,
// by default "cpu".
inline std::string TestDevice() {
  const char* device = std::getenv("DDPT_TEST_DEVICE");
  return device == nullptr ? "cpu" : device;
}

}  // namespace ddpt
