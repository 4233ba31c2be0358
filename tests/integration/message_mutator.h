#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <random>
#include <string>

namespace ddpt {

// Makes messages wrong, for tests: each call changes one thing, by values that programs stumble
// over (limits of the type, numbers that are none, enumerations without a name, bad UTF-8, long
// texts and lists) or by chance. The same seed makes the same changes. Not thread-safe.
class MessageMutator {
 public:
  explicit MessageMutator(uint64_t seed) : random_(seed) {}

  // A number below `limit`, which is above 0.
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // Changes, sets or clears a field of the message or of one within it.
  void Mutate(google::protobuf::Message& message);
  // Changes what a message is on the wire; it may then be none.
  void MutateBytes(std::string& bytes);

 private:
  using Field = google::protobuf::FieldDescriptor;

  void MutateSingular(google::protobuf::Message& message, const Field& field);
  void MutateRepeated(google::protobuf::Message& message, const Field& field);
  void SetOrAdd(google::protobuf::Message& message, const Field& field);
  uint64_t Whole();
  double Real();
  int Enumerator(const google::protobuf::EnumDescriptor& type);
  std::string Text(std::string old);

  std::mt19937_64 random_;
};

}  // namespace ddpt
