#include "client/output.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/runtime/admission.h"

namespace ddpt {

nlohmann::ordered_json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return nullptr;
  return nlohmann::ordered_json::parse(text);
}

void PrintJson(Session& session, const nlohmann::ordered_json& value) {
  session.out << value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
}

void PrintError(Session& session) {
  const absl::Status& status = session.status;
  const std::string code = absl::StatusCodeToString(status.code());
  if (!session.json) {
    session.err << "ddpt: " << status.message() << " (" << code << ")\n";
    return;
  }
  nlohmann::ordered_json error = {{"code", code}, {"message", std::string(status.message())}};
  if (!FieldOf(status).empty()) error["field"] = FieldOf(status);
  if (!ReasonOf(status).empty()) error["reason"] = ReasonOf(status);
  if (const auto wait = RetryAfter(status)) {
    error["retry_seconds"] = static_cast<double>(wait->count()) / 1000;
  }
  session.err << nlohmann::ordered_json{{"error", error}}.dump(
                     -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
}

std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number,
                     std::string_view prefix) {
  const auto* value = type.FindValueByNumber(number);
  if (value == nullptr) return absl::StrCat(number);
  return absl::AsciiStrToLower(absl::StripPrefix(value->name(), Piece(prefix)));
}

std::string TimeWord(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string DurationWord(double seconds) {
  if (seconds < 1e-3) return absl::StrFormat("%.0f us", seconds * 1e6);
  if (seconds < 1) return absl::StrFormat("%.3g ms", seconds * 1e3);
  return absl::StrFormat("%.3g s", seconds);
}

std::string CountWord(uint64_t count) {
  std::string word = absl::StrCat(count);
  for (size_t i = word.size(); i > 3;) word.insert(i -= 3, ",");
  return word;
}

}  // namespace ddpt
