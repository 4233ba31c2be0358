#include "core/base/torch_pickle.h"

#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr size_t kMaxText = 64 << 20;
constexpr size_t kMaxValues = 4'194'304;
constexpr size_t kMaxTensors = 65'536;
constexpr size_t kMaxRank = 8;

template <typename... Pieces>
absl::Status Lie(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat("pickle: ", pieces...));
}

enum class Global { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorage };

struct KnownGlobal {
  std::string_view name;  // module, space, name
  Global global;
  std::optional<DataType> dtype = std::nullopt;
  size_t element_size = 0;
};

constexpr KnownGlobal kGlobals[] = {
    {"collections OrderedDict", Global::kOrderedDict},
    {"torch._utils _rebuild_tensor_v2", Global::kRebuildTensor},
    {"torch._utils _rebuild_parameter", Global::kRebuildParameter},
    {"torch FloatStorage", Global::kStorage, DataType::kFloat32, 4},
    {"torch HalfStorage", Global::kStorage, DataType::kFloat16, 2},
    {"torch BFloat16Storage", Global::kStorage, DataType::kBFloat16, 2},
    {"torch DoubleStorage", Global::kStorage, std::nullopt, 8},
    {"torch LongStorage", Global::kStorage, std::nullopt, 8},
    {"torch IntStorage", Global::kStorage, std::nullopt, 4},
    {"torch ShortStorage", Global::kStorage, std::nullopt, 2},
    {"torch CharStorage", Global::kStorage, std::nullopt, 1},
    {"torch ByteStorage", Global::kStorage, std::nullopt, 1},
    {"torch BoolStorage", Global::kStorage, std::nullopt, 1},
};

enum class Kind {
  kMark,
  kNone,
  kBool,
  kInteger,
  kFloat,
  kText,
  kTuple,
  kList,
  kDict,
  kGlobal,
  kStorage,
  kTensor
};

// Values refer to each other as the pickle says, in circles too; the machine owns them all.
struct Value {
  Kind kind = Kind::kNone;
  int64_t integer = 0;                  // also a storage's elements
  std::string_view text = {};           // also a storage's key
  const KnownGlobal* global = nullptr;  // also a storage's type
  // Of tuple and list; key, value, key, ... of dict; storage, offset, shape, stride of tensor.
  std::vector<Value*> items = {};
};

class Machine {
 public:
  explicit Machine(std::string_view text) : text_(text) {}

  // The value that the pickle leaves.
  absl::StatusOr<Value*> Run();

 private:
  absl::Status Execute(uint8_t operation);
  absl::Status PushText();
  absl::Status PushLong();
  absl::Status PushGlobal();
  absl::Status PushStorage();
  absl::Status PushTuple(size_t count);
  absl::Status PushMarkedTuple();
  absl::Status Put(uint32_t key);
  absl::Status Get(uint32_t key);
  absl::Status Reduce();
  absl::Status RebuildTensor(Value& arguments);
  absl::Status AddItems(Kind kind, size_t count);
  absl::Status AddMarkedItems(Kind kind);

  absl::Status Push(Value value);
  absl::StatusOr<Value*> Pop();
  absl::StatusOr<size_t> Mark() const;

  template <typename Number>
  absl::StatusOr<Number> Read();
  absl::StatusOr<std::string_view> ReadBytes(size_t count);
  absl::StatusOr<std::string_view> ReadLine();

  std::string_view text_;
  size_t at_ = 0;
  std::deque<Value> values_;
  std::vector<Value*> stack_;
  std::unordered_map<uint32_t, Value*> memo_;
};

absl::StatusOr<std::string_view> Machine::ReadBytes(size_t count) {
  if (count > text_.size() - at_) return Lie("ends inside an operation");
  const std::string_view bytes = text_.substr(at_, count);
  at_ += count;
  return bytes;
}

template <typename Number>
absl::StatusOr<Number> Machine::Read() {
  DDPT_ASSIGN_OR_RETURN(const std::string_view bytes, ReadBytes(sizeof(Number)));
  Number number;
  std::memcpy(&number, bytes.data(), sizeof(number));
  return number;
}

absl::StatusOr<std::string_view> Machine::ReadLine() {
  const size_t end = text_.find('\n', at_);
  if (end == std::string_view::npos) return Lie("ends inside a name");
  const std::string_view line = text_.substr(at_, end - at_);
  at_ = end + 1;
  return line;
}

absl::Status Machine::Push(Value value) {
  if (values_.size() >= kMaxValues) return Lie("holds more than ", kMaxValues, " values");
  values_.push_back(std::move(value));
  stack_.push_back(&values_.back());
  return absl::OkStatus();
}

absl::StatusOr<Value*> Machine::Pop() {
  if (stack_.empty() || stack_.back()->kind == Kind::kMark) return Lie("takes what is not there");
  Value* value = stack_.back();
  stack_.pop_back();
  return value;
}

// The position of the last mark.
absl::StatusOr<size_t> Machine::Mark() const {
  for (size_t i = stack_.size(); i-- > 0;) {
    if (stack_[i]->kind == Kind::kMark) return i;
  }
  return Lie("looks for a mark that is not there");
}

absl::Status Machine::PushText() {
  DDPT_ASSIGN_OR_RETURN(const auto length, Read<uint32_t>());
  DDPT_ASSIGN_OR_RETURN(const std::string_view text, ReadBytes(length));
  return Push({.kind = Kind::kText, .text = text});
}

absl::Status Machine::PushLong() {
  DDPT_ASSIGN_OR_RETURN(const auto length, Read<uint8_t>());
  if (length > sizeof(int64_t))
    return Lie("an integer of ", length, " bytes is above the limit of 8");
  DDPT_ASSIGN_OR_RETURN(const std::string_view bytes, ReadBytes(length));
  uint64_t number = 0;
  for (size_t i = 0; i < length; ++i) {
    number |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  const bool negative = length > 0 && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
  if (negative && length < sizeof(number)) number |= ~uint64_t{0} << (8 * length);
  return Push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(number)});
}

absl::Status Machine::PushGlobal() {
  DDPT_ASSIGN_OR_RETURN(const std::string_view module, ReadLine());
  DDPT_ASSIGN_OR_RETURN(const std::string_view name, ReadLine());
  const std::string full = absl::StrCat(Piece(module), " ", Piece(name));
  for (const KnownGlobal& known : kGlobals) {
    if (known.name == full) return Push({.kind = Kind::kGlobal, .global = &known});
  }
  return Lie("\"", absl::CHexEscape(full),
             "\" is refused: only OrderedDict, storages and the functions that rebuild tensors are "
             "known");
}

// ("storage", type, key, device, elements) becomes a storage.
absl::Status Machine::PushStorage() {
  DDPT_ASSIGN_OR_RETURN(const Value* id, Pop());
  if (id->kind != Kind::kTuple || id->items.size() != 5 || id->items[0]->text != "storage" ||
      id->items[1]->kind != Kind::kGlobal || id->items[1]->global->global != Global::kStorage ||
      id->items[2]->kind != Kind::kText || id->items[4]->kind != Kind::kInteger ||
      id->items[4]->integer < 0) {
    return Lie("a persistent id is not that of a storage");
  }
  return Push({.kind = Kind::kStorage,
               .integer = id->items[4]->integer,
               .text = id->items[2]->text,
               .global = id->items[1]->global});
}

absl::Status Machine::PushTuple(size_t count) {
  std::vector<Value*> items(count);
  for (size_t i = count; i-- > 0;) {
    DDPT_ASSIGN_OR_RETURN(items[i], Pop());
  }
  return Push({.kind = Kind::kTuple, .items = std::move(items)});
}

absl::Status Machine::PushMarkedTuple() {
  DDPT_ASSIGN_OR_RETURN(const size_t mark, Mark());
  std::vector<Value*> items(stack_.begin() + static_cast<ptrdiff_t>(mark) + 1, stack_.end());
  stack_.resize(mark);
  return Push({.kind = Kind::kTuple, .items = std::move(items)});
}

absl::Status Machine::Put(uint32_t key) {
  if (stack_.empty() || stack_.back()->kind == Kind::kMark) return Lie("keeps what is not there");
  memo_[key] = stack_.back();
  return absl::OkStatus();
}

absl::Status Machine::Get(uint32_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) return Lie("asks for value ", key, ", which was not kept");
  stack_.push_back(found->second);
  if (stack_.size() > kMaxValues) return Lie("holds more than ", kMaxValues, " values");
  return absl::OkStatus();
}

absl::Status Machine::RebuildTensor(Value& arguments) {
  std::vector<Value*>& items = arguments.items;
  if (items.size() < 6 || items[0]->kind != Kind::kStorage || items[1]->kind != Kind::kInteger ||
      items[2]->kind != Kind::kTuple || items[3]->kind != Kind::kTuple) {
    return Lie("_rebuild_tensor_v2 is called with other arguments than torch.save writes");
  }
  return Push({.kind = Kind::kTensor, .items = {items[0], items[1], items[2], items[3]}});
}

absl::Status Machine::Reduce() {
  DDPT_ASSIGN_OR_RETURN(Value * arguments, Pop());
  DDPT_ASSIGN_OR_RETURN(const Value* callee, Pop());
  if (callee->kind != Kind::kGlobal || arguments->kind != Kind::kTuple) {
    return Lie("calls what is no function");
  }
  switch (callee->global->global) {
    case Global::kOrderedDict:
      if (!arguments->items.empty()) return Lie("OrderedDict is called with arguments");
      return Push({.kind = Kind::kDict});
    case Global::kRebuildTensor:
      return RebuildTensor(*arguments);
    case Global::kRebuildParameter:
      if (arguments->items.empty() || arguments->items[0]->kind != Kind::kTensor) {
        return Lie("_rebuild_parameter is called without a tensor");
      }
      stack_.push_back(arguments->items[0]);
      return absl::OkStatus();
    case Global::kStorage:
      break;
  }
  return Lie(Piece(callee->global->name), " is called");
}

// The `count` values on top go into the container below them.
absl::Status Machine::AddItems(Kind kind, size_t count) {
  const bool pairs = kind == Kind::kDict;
  if (count >= stack_.size() || stack_[stack_.size() - 1 - count]->kind != kind ||
      (pairs && count % 2 != 0)) {
    return Lie(pairs ? "sets items of what is no dictionary" : "appends to what is no list");
  }
  std::vector<Value*>& items = stack_[stack_.size() - 1 - count]->items;
  items.insert(items.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return absl::OkStatus();
}

absl::Status Machine::AddMarkedItems(Kind kind) {
  DDPT_ASSIGN_OR_RETURN(const size_t mark, Mark());
  stack_.erase(stack_.begin() + static_cast<ptrdiff_t>(mark));
  return AddItems(kind, stack_.size() - mark);
}

// The letters are those of Python's pickletools.
absl::Status Machine::Execute(uint8_t operation) {
  switch (operation) {
    case 0x80: {  // PROTO
      DDPT_ASSIGN_OR_RETURN(const auto version, Read<uint8_t>());
      if (version == 2) return absl::OkStatus();
      return Lie("has protocol ", version, "; only 2, torch.save's default, is read");
    }
    case '(':
      return Push({.kind = Kind::kMark});
    case 'N':
      return Push({.kind = Kind::kNone});
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      return Push({.kind = Kind::kBool, .integer = operation == 0x88});
    case 'K': {  // BININT1
      DDPT_ASSIGN_OR_RETURN(const auto number, Read<uint8_t>());
      return Push({.kind = Kind::kInteger, .integer = number});
    }
    case 'M': {  // BININT2
      DDPT_ASSIGN_OR_RETURN(const auto number, Read<uint16_t>());
      return Push({.kind = Kind::kInteger, .integer = number});
    }
    case 'J': {  // BININT
      DDPT_ASSIGN_OR_RETURN(const auto number, Read<int32_t>());
      return Push({.kind = Kind::kInteger, .integer = number});
    }
    case 0x8a:  // LONG1
      return PushLong();
    case 'G': {  // BINFLOAT
      DDPT_RETURN_IF_ERROR(ReadBytes(8).status());
      return Push({.kind = Kind::kFloat});
    }
    case 'X':  // BINUNICODE
      return PushText();
    case ')':
      return PushTuple(0);
    case 0x85:  // TUPLE1
    case 0x86:
    case 0x87:
      return PushTuple(operation - 0x84);
    case 't':
      return PushMarkedTuple();
    case ']':
      return Push({.kind = Kind::kList});
    case '}':
      return Push({.kind = Kind::kDict});
    case 'a':  // APPEND
      return AddItems(Kind::kList, 1);
    case 'e':  // APPENDS
      return AddMarkedItems(Kind::kList);
    case 's':  // SETITEM
      return AddItems(Kind::kDict, 2);
    case 'u':  // SETITEMS
      return AddMarkedItems(Kind::kDict);
    case 'q': {  // BINPUT
      DDPT_ASSIGN_OR_RETURN(const auto key, Read<uint8_t>());
      return Put(key);
    }
    case 'r': {  // LONG_BINPUT
      DDPT_ASSIGN_OR_RETURN(const auto key, Read<uint32_t>());
      return Put(key);
    }
    case 'h': {  // BINGET
      DDPT_ASSIGN_OR_RETURN(const auto key, Read<uint8_t>());
      return Get(key);
    }
    case 'j': {  // LONG_BINGET
      DDPT_ASSIGN_OR_RETURN(const auto key, Read<uint32_t>());
      return Get(key);
    }
    case 'c':  // GLOBAL
      return PushGlobal();
    case 'Q':  // BINPERSID
      return PushStorage();
    case 'R':  // REDUCE
      return Reduce();
    case 'b':  // BUILD: a state dict's _metadata
      return Pop().status();
    default:
      return Lie("operation 0x", absl::Hex(operation, absl::kZeroPad2), " at byte ", at_ - 1,
                 " is refused");
  }
}

absl::StatusOr<Value*> Machine::Run() {
  if (text_.size() > kMaxText) {
    return Lie(text_.size(), " bytes are above the limit of ", kMaxText);
  }
  while (true) {
    DDPT_ASSIGN_OR_RETURN(const auto operation, Read<uint8_t>());
    if (operation == '.') return Pop();
    DDPT_RETURN_IF_ERROR(Execute(operation));
  }
}

absl::StatusOr<std::vector<int64_t>> Integers(const Value& tuple, std::string_view name,
                                              std::string_view what) {
  std::vector<int64_t> integers;
  if (tuple.items.size() > kMaxRank) {
    return Lie(Piece(name), ": rank ", tuple.items.size(), " is above the limit of ", kMaxRank);
  }
  for (const Value* item : tuple.items) {
    if (item->kind != Kind::kInteger || item->integer < 0) {
      return Lie(Piece(name), ": its ", Piece(what), " is no list of sizes");
    }
    integers.push_back(item->integer);
  }
  return integers;
}

absl::StatusOr<PickledTensor> TensorOf(const Value& key, const Value& value) {
  if (key.kind != Kind::kText) return Lie("a key of the state dict is no text");
  const std::string name = absl::CHexEscape(Piece(key.text));
  if (value.kind != Kind::kTensor) return Lie(name, ": is no tensor");
  const Value& storage = *value.items[0];
  PickledTensor tensor;
  tensor.name = std::string(key.text);
  tensor.dtype = storage.global->dtype;
  tensor.element_size = storage.global->element_size;
  tensor.storage = std::string(storage.text);
  tensor.storage_elements = static_cast<uint64_t>(storage.integer);
  if (value.items[1]->integer < 0) return Lie(name, ": its offset is negative");
  tensor.offset = static_cast<uint64_t>(value.items[1]->integer);
  DDPT_ASSIGN_OR_RETURN(tensor.shape, Integers(*value.items[2], name, "shape"));
  DDPT_ASSIGN_OR_RETURN(tensor.stride, Integers(*value.items[3], name, "stride"));
  if (tensor.shape.size() == tensor.stride.size()) return tensor;
  return Lie(name, ": has a shape of rank ", tensor.shape.size(), " and a stride of rank ",
             tensor.stride.size());
}

}  // namespace

absl::StatusOr<std::vector<PickledTensor>> ReadTorchPickle(std::string_view text) {
  Machine machine(text);
  DDPT_ASSIGN_OR_RETURN(const Value* root, machine.Run());
  if (root->kind != Kind::kDict) return Lie("holds no dictionary of tensors");
  if (root->items.size() / 2 > kMaxTensors) {
    return Lie(root->items.size() / 2, " tensors are above the limit of ", kMaxTensors);
  }
  std::vector<PickledTensor> tensors;
  for (size_t i = 0; i < root->items.size(); i += 2) {
    DDPT_ASSIGN_OR_RETURN(PickledTensor tensor, TensorOf(*root->items[i], *root->items[i + 1]));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace ddpt
