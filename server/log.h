#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nlohmann/json_fwd.hpp"

namespace spdlog {
class logger;
}

namespace ddpt {

// The server's log: one JSON object a line on stderr, `time` (RFC 3339, UTC), `level` and `event`
// first. Each request is one line. Thread-safe; a line is written at once and blocks on stderr.
class Log {
 public:
  // Level as in Config; a valid one.
  explicit Log(const std::string& level);
  ~Log();

  // `fields` is an object. Does nothing below the level.
  void Debug(std::string_view event, const nlohmann::json& fields) const;
  void Info(std::string_view event, const nlohmann::json& fields) const;
  void Warn(std::string_view event, const nlohmann::json& fields) const;
  void Error(std::string_view event, const nlohmann::json& fields) const;
  // Whether Info writes: for fields that take long to gather.
  bool WritesInfo() const;

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

// What gRPC and protobuf have to say becomes lines of `log`, event "library", in place of text on
// stderr: callers can make them speak. For the whole process, until its end, like `log`.
void TakeLibraryLogs(const Log& log);

}  // namespace ddpt
