#include "core/text/tokenizer_files.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/text/json_node.h"
#include "core/text/spec_builder.h"
#include "core/text/tokenizer_json.h"

namespace ddpt {
namespace {

constexpr uint64_t kMergesLimit = 64 << 20;

// An added token on its way: without an id yet, it must be of the vocabulary.
struct Pending {
  JsonNode node;
  AddedToken token;
  std::optional<uint32_t> id;
};

// By content, so that the order of the files does not matter.
using PendingTokens = std::map<std::string, Pending>;

// The named tokens of one of the two files that may name them.
absl::Status CollectSpecial(const JsonNode& file, PendingTokens* pending) {
  std::vector<JsonNode> nodes;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    if (!file.Get(key).IsNull()) nodes.push_back(file.Get(key));
  }
  DDPT_ASSIGN_OR_RETURN(const auto more, file.Get("additional_special_tokens").Elements());
  nodes.insert(nodes.end(), more.begin(), more.end());
  for (const JsonNode& node : nodes) {
    DDPT_ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(node, /*special=*/true));
    token.special = true;
    pending->try_emplace(token.content, Pending{node, token, std::nullopt});
  }
  return absl::OkStatus();
}

// added_tokens.json: {"<|endoftext|>": 50256}. Those not named as special are plain and normalized.
absl::Status CollectAdded(const JsonNode& file, PendingTokens* pending) {
  DDPT_ASSIGN_OR_RETURN(const auto members, file.Members());
  for (const auto& [content, node] : members) {
    DDPT_ASSIGN_OR_RETURN(const uint32_t id, node.Id());
    Pending plain{node, {}, std::nullopt};
    plain.token.content = content;
    plain.token.normalized = true;
    pending->try_emplace(content, std::move(plain)).first->second.id = id;
  }
  return absl::OkStatus();
}

// added_tokens_decoder: {"50256": {"content": "<|endoftext|>", ...}}, with all flags.
absl::Status CollectDecoder(const JsonNode& decoder, PendingTokens* pending) {
  DDPT_ASSIGN_OR_RETURN(const auto members, decoder.Members());
  for (const auto& [key, node] : members) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id > JsonNode::kMaxTokenId) {
      return node.Error("the key is not a token id");
    }
    DDPT_ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(node, /*special=*/false));
    const auto known = pending->find(token.content);
    if (known != pending->end()) {
      if (known->second.id.has_value()) {
        return node.Error(absl::StrCat("\"", token.content, "\" is listed twice"));
      }
      token.special = true;
    }
    pending->insert_or_assign(token.content, Pending{node, token, id});
  }
  return absl::OkStatus();
}

absl::Status AddPending(const PendingTokens& pending, SpecBuilder* builder) {
  for (const auto& [content, entry] : pending) {
    AddedToken token = entry.token;
    if (entry.id.has_value()) {
      token.id = *entry.id;
    } else {
      DDPT_ASSIGN_OR_RETURN(token.id, builder->IdOf(entry.node, content));
    }
    DDPT_RETURN_IF_ERROR(builder->AddToken(entry.node, std::move(token)));
  }
  return absl::OkStatus();
}

absl::Status ReadMergesFile(const std::string& path, SpecBuilder* builder) {
  DDPT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMergesLimit));
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    absl::Status added = space == std::string_view::npos
                             ? absl::InvalidArgumentError("must be two tokens")
                             : builder->AddMerge(line.substr(0, space), line.substr(space + 1));
    if (!added.ok()) return Annotate(added, absl::StrCat(path, ": line ", number));
  }
  return absl::OkStatus();
}

// The node of a named token: tokenizer_config.json first, then special_tokens_map.json.
JsonNode NamedToken(const JsonNode& config, const JsonNode& map, std::string_view key) {
  return config.Get(key).IsNull() && !map.Get(key).IsNull() ? map.Get(key) : config.Get(key);
}

absl::StatusOr<uint32_t> NamedId(const JsonNode& config, const JsonNode& map, std::string_view key,
                                 const SpecBuilder& builder) {
  const JsonNode node = NamedToken(config, map, key);
  DDPT_ASSIGN_OR_RETURN(const std::string content, TokenContent(node));
  return builder.IdOf(node, content);
}

// What the two files say of the text around and in front of the words.
absl::Status ReadHabits(const JsonNode& config, const JsonNode& map, SpecBuilder* builder) {
  TokenizerSpec& spec = builder->spec();
  DDPT_ASSIGN_OR_RETURN(spec.add_prefix_space, config.Get("add_prefix_space").Bool(false));
  DDPT_ASSIGN_OR_RETURN(const std::string type, config.Get("tokenizer_class").StringOrEmpty());
  DDPT_ASSIGN_OR_RETURN(const bool add_bos, config.Get("add_bos_token").Bool(false));
  if (type.starts_with("Roberta")) {
    DDPT_ASSIGN_OR_RETURN(const uint32_t cls, NamedId(config, map, "cls_token", *builder));
    DDPT_ASSIGN_OR_RETURN(const uint32_t sep, NamedId(config, map, "sep_token", *builder));
    spec.prefix = {cls};
    spec.suffix = {sep};
  } else if (add_bos) {
    DDPT_ASSIGN_OR_RETURN(const uint32_t bos, NamedId(config, map, "bos_token", *builder));
    spec.prefix = {bos};
  }
  return absl::OkStatus();
}

absl::Status ReadSeparateFiles(const std::string& directory, const JsonNode& vocab,
                               const JsonNode& config, const JsonNode& map, SpecBuilder* builder) {
  DDPT_RETURN_IF_ERROR(builder->SetVocab(vocab));
  DDPT_RETURN_IF_ERROR(ReadMergesFile(directory + "/merges.txt", builder));
  PendingTokens pending;
  DDPT_RETURN_IF_ERROR(CollectSpecial(map, &pending));
  DDPT_RETURN_IF_ERROR(CollectSpecial(config, &pending));
  const JsonNode decoder = config.Get("added_tokens_decoder");
  if (decoder.IsNull()) {
    DDPT_ASSIGN_OR_RETURN(const JsonNode added,
                          JsonNode::LoadIfExists(directory + "/added_tokens.json"));
    DDPT_RETURN_IF_ERROR(CollectAdded(added, &pending));
  } else {
    DDPT_RETURN_IF_ERROR(CollectDecoder(decoder, &pending));
  }
  DDPT_RETURN_IF_ERROR(AddPending(pending, builder));
  return ReadHabits(config, map, builder);
}

}  // namespace

absl::StatusOr<TokenizerSpec> ReadTokenizerFiles(const std::string& directory) {
  const auto load = [&directory](std::string_view name) {
    return JsonNode::LoadIfExists(absl::StrCat(directory, "/", Piece(name)));
  };
  DDPT_ASSIGN_OR_RETURN(const JsonNode whole, load("tokenizer.json"));
  DDPT_ASSIGN_OR_RETURN(const JsonNode vocab, load("vocab.json"));
  DDPT_ASSIGN_OR_RETURN(const JsonNode config, load("tokenizer_config.json"));
  DDPT_ASSIGN_OR_RETURN(const JsonNode map, load("special_tokens_map.json"));
  SpecBuilder builder;
  if (!whole.IsNull()) {
    DDPT_RETURN_IF_ERROR(ReadTokenizerJson(whole, &builder));
  } else if (!vocab.IsNull()) {
    DDPT_RETURN_IF_ERROR(ReadSeparateFiles(directory, vocab, config, map, &builder));
  } else {
    return absl::NotFoundError(
        absl::StrCat(directory, ": holds neither tokenizer.json nor vocab.json"));
  }
  if (!NamedToken(config, map, "eos_token").IsNull()) {
    DDPT_ASSIGN_OR_RETURN(builder.spec().eos, NamedId(config, map, "eos_token", builder));
  }
  return std::move(builder.spec());
}

}  // namespace ddpt
