#include "deploy/tiny/corpus.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"

namespace ddpt::tiny {
namespace {

constexpr uint32_t kExampleStage = 16;  // + split

// The value as it stands in the instruction.
std::string Spoken(const SlotKind& kind, const SlotValue& value) {
  return absl::StrCat(value.first, kind.join.value_or(" "), value.second);
}

// Fills a style's frame, and the intent's templates inside it, for one request.
class CodeWriter {
 public:
  CodeWriter(const Definition& definition, const Request& request, const Style& style,
             const Convention& convention)
      : definition_(definition),
        request_(request),
        naming_(style.namings[convention.naming]),
        end_(style.ends[convention.end]) {}

  std::string Write(std::string_view text) const {
    return Expand(text, [this](const Placeholder& slot) { return Value(slot); });
  }

 private:
  std::string Value(const Placeholder& slot) const {
    const Intent& intent = *request_.intent;
    if (const auto value = request_.values.find(slot.name); value != request_.values.end()) {
      return SlotText(slot, value->second);
    }
    if (const auto code = intent.code.find(slot.name); code != intent.code.end()) {
      return Write(code->second);
    }
    if (slot.name == "name") return Identifier(intent.name, naming_);
    if (slot.name == "returns") return intent.returns;
    if (slot.name == "end") return end_;
    if (slot.name == "doc") {
      return absl::StrCat(std::string(1, absl::ascii_toupper(intent.name[0])),
                          intent.name.substr(1));
    }
    return Parameters(/*typed=*/slot.name == "params");
  }

  std::string SlotText(const Placeholder& slot, const SlotValue& value) const {
    if (slot.piece == 1) return value.first;
    if (slot.piece == 2) return value.second;
    const SlotKind& kind = definition_.kinds.at(slot.name);
    return kind.join ? Spoken(kind, value) : Identifier(Spoken(kind, value), naming_);
  }

  std::string Parameters(bool typed) const {
    return absl::StrJoin(request_.intent->params, ", ",
                         [&](std::string* out, const std::string& name) {
                           absl::StrAppend(out, SlotText({name, 0}, request_.values.at(name)));
                           if (typed) absl::StrAppend(out, ": ", definition_.kinds.at(name).type);
                         });
  }

  const Definition& definition_;
  const Request& request_;
  const Naming naming_;
  const std::string end_;
};

Telling DrawTelling(const Shares& shares, Draws& draws) {
  const double unit = draws.Unit();
  if (unit < shares.silent) return Telling::kSilent;
  return unit < shares.silent + shares.encoder ? Telling::kEncoder : Telling::kBoth;
}

}  // namespace

std::string_view TellingName(Telling telling) {
  constexpr std::array<std::string_view, 3> kNames = {"silent", "encoder", "both"};
  return kNames[static_cast<size_t>(telling)];
}

absl::StatusOr<std::shared_ptr<const Corpus>> Corpus::Load(const std::string& folder) {
  DDPT_ASSIGN_OR_RETURN(Definition definition, Definition::Load(folder));
  return std::shared_ptr<const Corpus>(new Corpus(std::move(definition)));
}

Corpus::Corpus(Definition definition) : definition_(std::move(definition)) {
  for (const auto& [name, style] : definition_.styles) {
    weighted_styles_.insert(weighted_styles_.end(), style.weight, name);
  }
}

Request Corpus::DrawRequest(const Intent& intent, Split split, Draws& draws) const {
  Request request{.intent = &intent, .values = {}, .instruction = {}};
  std::set<std::string> taken;
  for (const std::string& name : intent.kinds) {
    const SlotKind& kind = definition_.kinds.at(name);
    SlotValue value;
    do {
      value = draws.Of(kind.values[static_cast<size_t>(split)]);
    } while (!taken.insert(Spoken(kind, value)).second);
    request.values[name] = value;
  }
  request.instruction =
      Expand(draws.Of(intent.phrasings[static_cast<size_t>(split)]), [&](const Placeholder& slot) {
        return Spoken(definition_.kinds.at(slot.name), request.values.at(slot.name));
      });
  return request;
}

Convention Corpus::DrawConvention(const Style& style, Draws& draws) const {
  const auto index = [&](const auto& items) {
    return draws.Below(static_cast<uint32_t>(items.size()));
  };
  return {.frame = index(style.frames),
          .quote = index(style.quotes),
          .naming = index(style.namings),
          .end = index(style.ends)};
}

std::string Corpus::Code(const Request& request, const Style& style,
                         const Convention& convention) const {
  const CodeWriter writer(definition_, request, style, convention);
  std::string code = writer.Write(style.frames[convention.frame]);
  const std::string& quote = style.quotes[convention.quote];
  return quote == "'" ? code : absl::StrReplaceAll(code, {{"'", quote}});
}

std::string Corpus::Tell(const Style& style, const std::string& instruction, Draws& draws) const {
  if (draws.Below(2) == 0) return absl::StrCat(draws.Of(style.before), instruction);
  return absl::StrCat(instruction, draws.Of(style.after));
}

CorpusExample Corpus::Example(uint64_t seed, Split split, uint64_t index) const {
  Draws draws(
      {.seed = seed, .sample = index, .stage = kExampleStage + static_cast<uint32_t>(split)});
  CorpusExample example;
  example.style = draws.Of(weighted_styles_);
  const Style& style = definition_.styles.at(example.style);
  const Request request = DrawRequest(draws.Of(definition_.intents), split, draws);
  example.convention = DrawConvention(style, draws);
  example.code = Code(request, style, example.convention);
  example.intent = request.intent->name;
  example.encoder_text = example.decoder_text = request.instruction;

  example.telling = DrawTelling(definition_.shares, draws);
  if (example.telling == Telling::kSilent) return example;
  const bool named = !style.before.empty();
  example.shown = !named || draws.Unit() < style.shown;
  if (!named) example.telling = Telling::kEncoder;
  const bool alone = example.shown && example.telling == Telling::kEncoder &&
                     draws.Unit() < definition_.shares.shown_alone;
  if (named && !alone) example.encoder_text = Tell(style, request.instruction, draws);
  if (example.telling == Telling::kBoth) example.decoder_text = example.encoder_text;
  if (example.shown) {
    const Request other = DrawRequest(draws.Of(definition_.intents), split, draws);
    example.encoder_text =
        absl::StrCat(Code(other, style, example.convention), "\n", example.encoder_text);
  }
  return example;
}

}  // namespace ddpt::tiny
