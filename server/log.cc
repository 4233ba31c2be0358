#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "nlohmann/json.hpp"

namespace ddpt {
namespace {

// The fields of the object, without its braces; bytes that are not UTF-8 are replaced.
std::string Body(std::string_view event, const nlohmann::json& fields) {
  using nlohmann::json;
  const auto text = [](const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  std::string body = "\"event\":" + text(std::string(event));
  for (const auto& [key, value] : fields.items()) {
    body += ',';
    body += text(key);
    body += ':';
    body += text(value);
  }
  return body;
}

void Write(spdlog::logger& logger, spdlog::level::level_enum level, std::string_view event,
           const nlohmann::json& fields) {
  if (!logger.should_log(level)) return;
  const std::string body = Body(event, fields);
  logger.log(level, spdlog::string_view_t(body.data(), body.size()));
}

// Those libraries call plain functions.
const Log* library_log = nullptr;

void WriteLibrary(bool error, const char* file, int line, const std::string& message) {
  const nlohmann::json fields = {{"file", file}, {"line", line}, {"message", message}};
  error ? library_log->Warn("library", fields) : library_log->Debug("library", fields);
}

}  // namespace

Log::Log(const std::string& level)
    : logger_(std::make_shared<spdlog::logger>("ddpt",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_level(spdlog::level::from_str(level == "error" ? "err" : level));
  logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})", spdlog::pattern_time_type::utc));
}

Log::~Log() = default;

void Log::Debug(std::string_view event, const nlohmann::json& fields) const {
  Write(*logger_, spdlog::level::debug, event, fields);
}
void Log::Info(std::string_view event, const nlohmann::json& fields) const {
  Write(*logger_, spdlog::level::info, event, fields);
}
void Log::Warn(std::string_view event, const nlohmann::json& fields) const {
  Write(*logger_, spdlog::level::warn, event, fields);
}
void Log::Error(std::string_view event, const nlohmann::json& fields) const {
  Write(*logger_, spdlog::level::err, event, fields);
}

bool Log::WritesInfo() const { return logger_->should_log(spdlog::level::info); }

void TakeLibraryLogs(const Log& log) {
  library_log = &log;
  gpr_set_log_function([](gpr_log_func_args* said) {
    WriteLibrary(said->severity == GPR_LOG_SEVERITY_ERROR, said->file, said->line, said->message);
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel level, const char* file, int line, const std::string& message) {
        WriteLibrary(level >= google::protobuf::LOGLEVEL_ERROR, file, line, message);
      });
}

}  // namespace ddpt
