#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

// Owners of what the CUDA runtime hands out, for the thread's current GPU. All throw CudaError.
namespace ddpt::cuda {

class CudaError : public std::runtime_error {
 public:
  explicit CudaError(cudaError_t code)
      : std::runtime_error(std::string("GPU: ") + cudaGetErrorString(code)), code(code) {}
  const cudaError_t code;
};

inline void Check(cudaError_t code) {
  if (code != cudaSuccess) throw CudaError(code);
}

// `size` elements of the GPU's memory, or of the processor's where `kOfHost`: locked in place, so
// that copies need not wait. Not initialised.
template <typename T, bool kOfHost = false>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    const size_t bytes = size * sizeof(T);
    void* data = nullptr;
    Check(kOfHost ? cudaMallocHost(&data, bytes) : cudaMalloc(&data, bytes));
    data_ = static_cast<T*>(data);
  }
  explicit Buffer(std::span<const T> values) : Buffer(values.size()) {
    Check(cudaMemcpy(data_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { kOfHost ? cudaFreeHost(data_) : cudaFree(data_); }

  size_t size() const { return size_; }
  T* data() const { return data_; }
  T& operator[](size_t i) const requires kOfHost { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};
template <typename T>
using HostBuffer = Buffer<T, true>;

class OwnStream {
 public:
  OwnStream() { Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  ~OwnStream() { cudaStreamDestroy(stream_); }

  cudaStream_t get() const { return stream_; }
  template <typename T>
  void Copy(const T* from, T* to, size_t count) const {
    Check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDefault, stream_));
  }
  void Synchronize() const { Check(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

// A mark on a stream that can be waited for.
class Mark {
 public:
  Mark() { Check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  ~Mark() { cudaEventDestroy(event_); }

  void Set(const OwnStream& stream) const { Check(cudaEventRecord(event_, stream.get())); }
  void Wait() const { Check(cudaEventSynchronize(event_)); }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace ddpt::cuda
