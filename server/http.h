#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ddpt {

// The port for scrapers and probes, apart from gRPC's: GET /metrics (Prometheus text), /healthz
// (200 while the process answers), /readyz (200 or 503 with the reason), /debug/state (JSON); GET
// and HEAD only. At most
// 64 connections at a time, closed after 10 idle seconds. Threads of its own;
// thread-safe.
class HttpEndpoint {
 public:
  struct Options {
    std::string address;                   // "HOST:PORT"; port 0: any
    std::function<std::string()> metrics;  // the text of /metrics; thread-safe
    std::function<absl::Status()> ready;   // thread-safe
    std::function<std::string()> state;    // of /debug/state; thread-safe
  };

  // Binds and answers at once. UNAVAILABLE naming the address, and why, where it cannot.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Create(const Options& options);
  // Ends answers in flight.
  ~HttpEndpoint();

  // "127.0.0.1:9464", with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  struct Impl;
  HttpEndpoint(std::unique_ptr<Impl> impl, std::string address);

  std::unique_ptr<Impl> impl_;
  const std::string address_;
};

}  // namespace ddpt
