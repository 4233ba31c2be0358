#pragma once

namespace ddpt {

// Descriptors that `ddpt-sandbox` is started with. It keeps the last two to itself: the Python
// process sees those before them alone.
enum SandboxDescriptor : int {
  kSandboxInput = 3,     // what the script is to read
  kSandboxFromPeer = 4,  // a pipe's reading end
  kSandboxToPeer = 5,    // a pipe's writing end
  kSandboxVerdict = 6,   // a pipe's writing end
  kSandboxControl = 7,   // all ends when the pipe's other end is closed
  kSandboxStatus = 8,    // a pipe's writing end: "error TEXT\n" or "status NUMBER\n", of waitpid
};

inline constexpr int kSandboxDescriptors = 9;

}  // namespace ddpt
