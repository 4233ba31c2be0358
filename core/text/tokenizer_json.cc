#include "core/text/tokenizer_json.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

absl::Status RequireType(const JsonNode& node, std::string_view type) {
  if (node.IsNull()) return node.Error(absl::StrCat("missing; must be of type ", Piece(type)));
  DDPT_ASSIGN_OR_RETURN(const std::string found, node.Get("type").String());
  if (found == type) return absl::OkStatus();
  return node.Get("type").Error(
      absl::StrCat("\"", found, "\" is not supported, only ", Piece(type)));
}

absl::Status RefuseUnsupported(const JsonNode& root) {
  if (!root.Get("normalizer").IsNull()) return root.Get("normalizer").Error("not supported");
  const JsonNode model = root.Get("model");
  for (const char* key : {"byte_fallback", "ignore_merges"}) {
    DDPT_ASSIGN_OR_RETURN(const bool set, model.Get(key).Bool(false));
    if (set) return model.Get(key).Error("true is not supported");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    DDPT_ASSIGN_OR_RETURN(const std::string affix, model.Get(key).StringOrEmpty());
    if (!affix.empty()) return model.Get(key).Error("not supported");
  }
  if (!model.Get("dropout").IsNull()) return model.Get("dropout").Error("not supported");
  return absl::OkStatus();
}

absl::Status ReadMerge(const JsonNode& node, SpecBuilder* builder) {
  std::string left, right;
  if (node.IsString()) {  // "left right", as written before tokenizers 0.20
    DDPT_ASSIGN_OR_RETURN(const std::string pair, node.String());
    const size_t space = pair.find(' ');
    if (space == std::string::npos) return node.Error("must be two tokens");
    left = pair.substr(0, space);
    right = pair.substr(space + 1);
  } else {
    DDPT_ASSIGN_OR_RETURN(const auto pair, node.Elements());
    if (pair.size() != 2) return node.Error("must be two tokens");
    DDPT_ASSIGN_OR_RETURN(left, pair[0].String());
    DDPT_ASSIGN_OR_RETURN(right, pair[1].String());
  }
  const absl::Status added = builder->AddMerge(left, right);
  return added.ok() ? added : node.Error(std::string(added.message()));
}

absl::Status ReadModel(const JsonNode& model, SpecBuilder* builder) {
  if (!model.Get("vocab").IsObject()) return model.Get("vocab").Error("must be an object");
  DDPT_RETURN_IF_ERROR(builder->SetVocab(model.Get("vocab")));
  if (!model.Get("merges").IsArray()) return model.Get("merges").Error("must be an array");
  DDPT_ASSIGN_OR_RETURN(const auto merges, model.Get("merges").Elements());
  for (const JsonNode& merge : merges) DDPT_RETURN_IF_ERROR(ReadMerge(merge, builder));
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const JsonNode& list, SpecBuilder* builder) {
  DDPT_ASSIGN_OR_RETURN(const auto nodes, list.Elements());
  for (const JsonNode& node : nodes) {
    DDPT_ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(node, /*special=*/false));
    DDPT_ASSIGN_OR_RETURN(token.id, node.Get("id").Id());
    DDPT_RETURN_IF_ERROR(builder->AddToken(node, std::move(token)));
  }
  return absl::OkStatus();
}

// ["</s>", 2]
absl::StatusOr<uint32_t> ReadNamedId(const JsonNode& node, const SpecBuilder& builder) {
  DDPT_ASSIGN_OR_RETURN(const auto pair, node.Elements());
  if (pair.size() != 2) return node.Error("must be a token and its id");
  DDPT_ASSIGN_OR_RETURN(const std::string token, pair[0].String());
  DDPT_ASSIGN_OR_RETURN(const uint32_t id, pair[1].Id());
  DDPT_ASSIGN_OR_RETURN(const uint32_t known, builder.IdOf(node, token));
  if (id != known) return node.Error(absl::StrCat("\"", token, "\" has id ", known));
  return id;
}

absl::Status ReadTemplate(const JsonNode& processor, SpecBuilder* builder) {
  DDPT_ASSIGN_OR_RETURN(const auto single, processor.Get("single").Elements());
  int sequences = 0;
  for (const JsonNode& part : single) {
    if (!part.Get("Sequence").IsNull()) {
      ++sequences;
      continue;
    }
    DDPT_ASSIGN_OR_RETURN(const std::string name, part.Get("SpecialToken").Get("id").String());
    const JsonNode token = processor.Get("special_tokens").Get(name);
    DDPT_ASSIGN_OR_RETURN(const auto tokens, token.Get("tokens").Elements());
    if (tokens.empty()) return token.Get("tokens").Error("names no token");
    for (const JsonNode& node : tokens) {
      DDPT_ASSIGN_OR_RETURN(const std::string content, node.String());
      DDPT_ASSIGN_OR_RETURN(const uint32_t id, builder->IdOf(node, content));
      (sequences == 0 ? builder->spec().prefix : builder->spec().suffix).push_back(id);
    }
  }
  if (sequences != 1) return processor.Get("single").Error("must hold one Sequence");
  return absl::OkStatus();
}

absl::Status ReadPostProcessor(const JsonNode& processor, SpecBuilder* builder) {
  if (processor.IsNull()) return absl::OkStatus();
  DDPT_ASSIGN_OR_RETURN(const std::string type, processor.Get("type").String());
  if (type == "ByteLevel") return absl::OkStatus();
  if (type == "TemplateProcessing") return ReadTemplate(processor, builder);
  if (type != "RobertaProcessing") {
    return processor.Get("type").Error(absl::StrCat("\"", type, "\" is not supported"));
  }
  DDPT_ASSIGN_OR_RETURN(const uint32_t cls, ReadNamedId(processor.Get("cls"), *builder));
  DDPT_ASSIGN_OR_RETURN(const uint32_t sep, ReadNamedId(processor.Get("sep"), *builder));
  builder->spec().prefix = {cls};
  builder->spec().suffix = {sep};
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadTokenizerJson(const JsonNode& root, SpecBuilder* builder) {
  if (!root.Get("model").Get("type").IsNull()) {
    DDPT_RETURN_IF_ERROR(RequireType(root.Get("model"), "BPE"));
  }
  DDPT_RETURN_IF_ERROR(RefuseUnsupported(root));
  const JsonNode words = root.Get("pre_tokenizer");
  DDPT_RETURN_IF_ERROR(RequireType(words, "ByteLevel"));
  DDPT_RETURN_IF_ERROR(RequireType(root.Get("decoder"), "ByteLevel"));
  TokenizerSpec& spec = builder->spec();
  DDPT_ASSIGN_OR_RETURN(spec.add_prefix_space, words.Get("add_prefix_space").Bool(true));
  DDPT_ASSIGN_OR_RETURN(spec.split_words, words.Get("use_regex").Bool(true));
  DDPT_RETURN_IF_ERROR(ReadModel(root.Get("model"), builder));
  DDPT_RETURN_IF_ERROR(ReadAddedTokens(root.Get("added_tokens"), builder));
  return ReadPostProcessor(root.Get("post_processor"), builder);
}

}  // namespace ddpt
