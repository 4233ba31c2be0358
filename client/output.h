#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "client/session.h"

namespace google::protobuf {
class EnumDescriptor;
class Message;
class Timestamp;
}  // namespace google::protobuf

namespace ddpt {

// A message in protobuf's JSON mapping, with the field names of the contract and fields of value
// zero included.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// One line of JSON on `session.out`.
void PrintJson(Session& session, const nlohmann::ordered_json& value);

// `session.status`, which is an error, on `session.err`: in words, or with --json as
// {"error": {"code", "message", "field", "reason", "retry_seconds"}}, the last three where known.
void PrintError(Session& session);

// "ddim" for SAMPLER_DDIM: an enumerator's name in small letters without `prefix`; the number where
// it has no name.
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number,
                     std::string_view prefix);

// "2026-01-31 12:00:00Z", "-" for none.
std::string TimeWord(const google::protobuf::Timestamp& time);

// "850 us", "12.3 ms", "4.56 s".
std::string DurationWord(double seconds);

// "12,345".
std::string CountWord(uint64_t count);

}  // namespace ddpt
