#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/runtime/stream.h"

namespace ddpt {
namespace {

absl::Status FromCuda(cudaError_t error, int device) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("GPU ", device, ": ", cudaGetErrorString(error)));
}

class CudaStream : public Stream {
 public:
  CudaStream(int device, cudaStream_t stream) : device_(device), stream_(stream) {}
  ~CudaStream() override { cudaStreamDestroy(stream_); }

  void Bind() override { cudaSetDevice(device_); }
  absl::Status Synchronize() override { return FromCuda(cudaStreamSynchronize(stream_), device_); }
  void* handle() const override { return stream_; }
  int device() const override { return device_; }

 private:
  const int device_;
  const cudaStream_t stream_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Stream>> Stream::Create(int device) {
  if (device == kCpu) return std::make_unique<Stream>();
  DDPT_RETURN_IF_ERROR(FromCuda(cudaSetDevice(device), device));
  cudaStream_t stream = nullptr;
  DDPT_RETURN_IF_ERROR(FromCuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), device));
  return std::make_unique<CudaStream>(device, stream);
}

}  // namespace ddpt
