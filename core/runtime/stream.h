#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/device.h"

namespace ddpt {

// Where the work of one pool thread goes: a CUDA stream of one GPU, or, as this base class does,
// the thread itself. Used by one thread at a time.
class Stream {
 public:
  // A stream on GPU `device`, or on the processor for kCpu. FAILED_PRECONDITION where this build
  // has no CUDA or the machine no such GPU.
  static absl::StatusOr<std::unique_ptr<Stream>> Create(int device);

  virtual ~Stream() = default;

  // Makes the stream's GPU the current one of the calling thread.
  virtual void Bind() {}
  // Blocks until all that was put on the stream is done. An error here means that the device is
  // lost to this process.
  virtual absl::Status Synchronize() { return absl::OkStatus(); }
  // The cudaStream_t; null on the processor.
  virtual void* handle() const { return nullptr; }
  // The number of the GPU, or kCpu.
  virtual int device() const { return kCpu; }
};

}  // namespace ddpt
