#include "tests/integration/message_mutator.h"

#include <google/protobuf/descriptor.h>

#include <cstring>
#include <iterator>
#include <limits>

namespace ddpt {
namespace {

using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr uint64_t kLongest = 70'000;  // elements of a list, bytes of a text; above most limits
constexpr uint64_t kManyCostly = 100;  // elements that are no numbers
constexpr uint64_t kRareLongest = uint64_t{5} << 20;  // above the message limit

constexpr uint64_t kWholes[] = {0,          1,          2,           3,
                                16,         17,         64,          65,
                                255,        256,        1024,        1025,
                                0x7fffffff, 0x80000000, 0xffffffff,  uint64_t{1} << 32,
                                1ULL << 62, ~0ULL >> 1, 1ULL << 63U, ~0ULL};

const double kReals[] = {0.0,
                         -0.0,
                         1,
                         -1,
                         0.5,
                         1e-300,
                         1e300,
                         std::numeric_limits<double>::denorm_min(),
                         std::numeric_limits<double>::max(),
                         std::numeric_limits<double>::lowest(),
                         std::numeric_limits<double>::infinity(),
                         -std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN()};

const std::string kTexts[] = {"",
                              " ",
                              "A b",
                              "../../../etc/passwd",
                              "/dev/zero",
                              "a/../b",
                              std::string("a\0b", 3),
                              "\xff\xfe",
                              "\xc3",
                              "\xed\xa0\x80",
                              "%s%n%x",
                              "' OR 1=1; --",
                              "{\"a\":[[[[",
                              "dp1_AAAA",
                              "18446744073709551616",
                              "-1",
                              "\r\n\t",
                              "e\xcc\x81\xe2\x80\x8f"};

}  // namespace

uint64_t MessageMutator::Whole() {
  switch (Below(3)) {
    case 0:
      return random_();
    case 1:
      return Below(100);
    default:
      return kWholes[Below(std::size(kWholes))];
  }
}

double MessageMutator::Real() {
  if (OneIn(2)) return kReals[Below(std::size(kReals))];
  if (OneIn(2)) return std::uniform_real_distribution<double>(-2, 2)(random_);
  const uint64_t bits = random_();
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

int MessageMutator::Enumerator(const google::protobuf::EnumDescriptor& type) {
  if (OneIn(4)) return static_cast<int>(Whole());
  return type.value(static_cast<int>(Below(type.value_count())))->number();
}

std::string MessageMutator::Text(std::string old) {
  switch (Below(4)) {
    case 0:
      return std::string(Below(OneIn(50) ? kRareLongest : kLongest),
                         static_cast<char>(OneIn(2) ? 'a' : Below(256)));
    case 1:
      return kTexts[Below(std::size(kTexts))];
    default:
      MutateBytes(old);
      return old;
  }
}

void MessageMutator::Mutate(Message& message) {
  const auto& type = *message.GetDescriptor();
  if (type.field_count() == 0) return;
  const Field& field = *type.field(static_cast<int>(Below(type.field_count())));
  if (field.is_repeated()) {
    MutateRepeated(message, field);
  } else {
    MutateSingular(message, field);
  }
}

void MessageMutator::MutateSingular(Message& message, const Field& field) {
  if (OneIn(8)) return message.GetReflection()->ClearField(&message, &field);
  SetOrAdd(message, field);
}

void MessageMutator::MutateRepeated(Message& message, const Field& field) {
  const Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  const bool of_messages = field.cpp_type() == Field::CPPTYPE_MESSAGE;
  const bool costly = of_messages || field.cpp_type() == Field::CPPTYPE_STRING;
  switch (Below(6)) {
    case 0:
      return reflection.ClearField(&message, &field);
    case 1:
      if (size > 0) reflection.RemoveLast(&message, &field);
      return;
    case 2:
      if (size > 1) {
        reflection.SwapElements(&message, &field, static_cast<int>(Below(size)), size - 1);
      }
      return;
    case 3:
      if (!OneIn(4)) break;
      for (uint64_t i = Below(costly ? kManyCostly : kLongest); i > 0; --i)
        SetOrAdd(message, field);
      return;
    default:
      if (!of_messages || size == 0) break;
      return Mutate(
          *reflection.MutableRepeatedMessage(&message, &field, static_cast<int>(Below(size))));
  }
  SetOrAdd(message, field);
}

void MessageMutator::SetOrAdd(Message& message, const Field& field) {
  const Reflection& to = *message.GetReflection();
  const bool add = field.is_repeated();
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32: {
      const auto value = static_cast<int32_t>(Whole());
      return add ? to.AddInt32(&message, &field, value) : to.SetInt32(&message, &field, value);
    }
    case Field::CPPTYPE_INT64: {
      const auto value = static_cast<int64_t>(Whole());
      return add ? to.AddInt64(&message, &field, value) : to.SetInt64(&message, &field, value);
    }
    case Field::CPPTYPE_UINT32: {
      const auto value = static_cast<uint32_t>(Whole());
      return add ? to.AddUInt32(&message, &field, value) : to.SetUInt32(&message, &field, value);
    }
    case Field::CPPTYPE_UINT64: {
      const uint64_t value = Whole();
      return add ? to.AddUInt64(&message, &field, value) : to.SetUInt64(&message, &field, value);
    }
    case Field::CPPTYPE_DOUBLE: {
      const double value = Real();
      return add ? to.AddDouble(&message, &field, value) : to.SetDouble(&message, &field, value);
    }
    case Field::CPPTYPE_FLOAT: {
      const auto value = static_cast<float>(Real());
      return add ? to.AddFloat(&message, &field, value) : to.SetFloat(&message, &field, value);
    }
    case Field::CPPTYPE_BOOL: {
      const bool value = OneIn(2);
      return add ? to.AddBool(&message, &field, value) : to.SetBool(&message, &field, value);
    }
    case Field::CPPTYPE_ENUM: {
      const int value = Enumerator(*field.enum_type());
      return add ? to.AddEnumValue(&message, &field, value)
                 : to.SetEnumValue(&message, &field, value);
    }
    case Field::CPPTYPE_STRING: {
      std::string value = Text(add ? "" : to.GetString(message, &field));
      return add ? to.AddString(&message, &field, std::move(value))
                 : to.SetString(&message, &field, std::move(value));
    }
    case Field::CPPTYPE_MESSAGE:
      Message& within =
          add ? *to.AddMessage(&message, &field) : *to.MutableMessage(&message, &field);
      return Mutate(within);
  }
}

void MessageMutator::MutateBytes(std::string& bytes) {
  const uint64_t at = Below(bytes.size() + 1);
  const uint64_t some = Below(16);
  switch (bytes.empty() ? 0 : Below(6)) {
    case 0: {
      std::string inserted(some, '\0');
      for (char& byte : inserted) byte = static_cast<char>(Below(256));
      bytes.insert(at, inserted);
      return;
    }
    case 1:
      bytes[at % bytes.size()] ^= static_cast<char>(1 << Below(8));
      return;
    case 2:
      bytes[at % bytes.size()] = static_cast<char>(Below(256));
      return;
    case 3:
      bytes.erase(at, some);
      return;
    case 4:
      bytes.insert(at, bytes.substr(Below(bytes.size()), Below(64)));
      return;
    default:
      // A length, or whatever stands there, of four billion.
      bytes.insert(at, "\xff\xff\xff\xff\x0f");
  }
}

}  // namespace ddpt
