#include "core/evaluation/flow_edges.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace ddpt {
namespace {

constexpr int64_t kMaxSteps = int64_t{1} << 20;

// What the rules are about in the grammar of each language.
struct Rules {
  std::vector<std::string_view> declarations = {};  // `name` comes from `value`
  std::vector<std::string_view> assignments = {};   // `left` is computed from `right`
  std::string_view increment = {};
  std::string_view counted_loop_begin = {};  // what of a `for` is not run twice ends with it
  std::string_view element_loop = {};        // `name` is computed from each of `value`
  bool python = false;
  bool keeps_earlier = false;  // what was set before branches may hold behind them in any case
};

const Rules& RulesOf(CodeLanguage language) {
  static const auto* python =
      new Rules{.declarations = {"default_parameter"},
                .assignments = {"assignment", "augmented_assignment", "for_in_clause"},
                .python = true};
  static const auto* javascript =
      new Rules{.declarations = {"variable_declarator"},
                .assignments = {"assignment_pattern", "augmented_assignment_expression"},
                .increment = "update_expression",
                .counted_loop_begin = "variable_declaration",
                .keeps_earlier = true};
  static const auto* java = new Rules{.declarations = {"variable_declarator"},
                                      .assignments = {"assignment_expression"},
                                      .increment = "update_expression",
                                      .counted_loop_begin = "local_variable_declaration",
                                      .element_loop = "enhanced_for_statement"};
  static const auto* c_sharp = new Rules{.assignments = {"assignment_expression"},
                                         .increment = "postfix_unary_expression",
                                         .counted_loop_begin = "local_variable_declaration"};
  switch (language) {
    case CodeLanguage::kPython:
      return *python;
    case CodeLanguage::kJavaScript:
      return *javascript;
    case CodeLanguage::kJava:
      return *java;
    case CodeLanguage::kC:
    case CodeLanguage::kCpp:
      return *c_sharp;
  }
  return *c_sharp;
}

bool Contains(const std::vector<std::string_view>& kinds, std::string_view kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

// Where each name was set last, along the branches that lead here.
using State = absl::flat_hash_map<Name, absl::InlinedVector<Place, 2>>;

class FlowReader {
 public:
  FlowReader(const SyntaxTree& tree, const TreeTokens& tokens, const Rules& rules)
      : tree_(tree), nodes_(tree.nodes()), tokens_(tokens), rules_(rules) {
    first_variable_.reserve(tokens.tokens.size() + 1);
    for (uint32_t i = 0; i < tokens.tokens.size(); ++i) {
      first_variable_.push_back(static_cast<uint32_t>(variables_.size()));
      if (tokens.tokens[i].variable) variables_.push_back(i);
    }
    first_variable_.push_back(static_cast<uint32_t>(variables_.size()));
    NameVariables();
  }

  // The edges in the order of their places, one each, as far as places have a source or are one.
  std::vector<FlowEdge> Read() {
    State state;
    Follow(0, state);
    SortByPlace(edges_);
    std::vector<bool> connected(tokens_.tokens.size());
    for (const FlowEdge& edge : edges_) {
      if (!edge.places.empty()) connected[edge.place] = true;
      for (const Place place : edge.places) connected[place] = true;
    }
    std::erase_if(edges_, [&](const FlowEdge& edge) { return !connected[edge.place]; });
    JoinSorted(0, [](const FlowEdge&, const FlowEdge&) { return true; });
    if (failed_) return {};
    return std::move(edges_);
  }

 private:
  void Spend(size_t steps) {
    steps_ -= static_cast<int64_t>(steps) + 1;
    failed_ = failed_ || steps_ < 0;
  }

  // What a rule cannot do without.
  uint32_t Part(uint32_t node, std::string_view field) {
    const uint32_t part = tree_.Child(node, field);
    failed_ = failed_ || part == 0;
    return part;
  }

  // Equal texts have the same name.
  void NameVariables() {
    const std::vector<CodeToken>& tokens = tokens_.tokens;
    std::vector<uint32_t> sorted = variables_;
    std::sort(sorted.begin(), sorted.end(),
              [&](uint32_t one, uint32_t other) { return tokens[one].text < tokens[other].text; });
    names_.resize(tokens.size());
    for (size_t i = 1; i < sorted.size(); ++i) {
      const Name before = names_[sorted[i - 1]];
      const bool is_new = tokens[sorted[i]].text != tokens[sorted[i - 1]].text;
      names_[sorted[i]] = is_new ? before + 1 : before;
    }
  }

  using Tokens = std::span<const uint32_t>;

  // The variables below a node.
  Tokens Variables(uint32_t node) {
    Spend(tokens_.past[node] - tokens_.first[node]);
    if (failed_) return {};
    const uint32_t first = first_variable_[tokens_.first[node]];
    return Tokens(variables_).subspan(first, first_variable_[tokens_.past[node]] - first);
  }

  FlowEdge& NewEdge(uint32_t token, bool computed) {
    FlowEdge& edge = edges_.emplace_back();
    edge.name = names_[token];
    edge.place = tokens_.tokens[token].place;
    edge.computed = computed;
    return edge;
  }

  void Add(uint32_t token, bool computed, Tokens sources) {
    Spend(sources.size());
    if (failed_) return;
    FlowEdge& edge = NewEdge(token, computed);
    for (const uint32_t source : sources) {
      edge.names.push_back(names_[source]);
      edge.places.push_back(tokens_.tokens[source].place);
    }
  }

  void Set(uint32_t token, State& state) { state[names_[token]] = {tokens_.tokens[token].place}; }

  void Follow(uint32_t node, State& state) {
    Spend(0);
    if (failed_) return;
    const std::string_view kind = nodes_[node].kind;
    if (IsToken(nodes_[node])) {
      FollowToken(node, state);
    } else if (Contains(rules_.declarations, kind)) {
      FollowDeclaration(node, state);
    } else if (Contains(rules_.assignments, kind)) {
      rules_.python ? FollowPythonAssignment(node, state) : FollowAssignment(node, state);
    } else if (kind == rules_.increment) {
      const Tokens variables = Variables(node);
      Connect(variables, variables, /*computed=*/true, state);
    } else if (kind == "if_statement") {
      FollowBranches(node, state);
    } else if (kind == "for_statement") {
      JoinEdgesOf([&] { rules_.python ? FollowPythonFor(node, state) : FollowFor(node, state); });
    } else if (kind == rules_.element_loop) {
      JoinEdgesOf([&] { FollowElementLoop(node, state); });
    } else if (kind == "while_statement") {
      JoinEdgesOf([&] {
        FollowChildren(node, state);
        FollowChildren(node, state);
      });
    } else if (rules_.python) {
      FollowPythonChildren(node, state);
    } else {
      FollowChildren(node, state);
    }
  }

  void FollowChildren(uint32_t node, State& state) {
    tree_.ForEachChild(node, [&](uint32_t child) { Follow(child, state); });
  }

  // The `for` of a comprehension stands behind what it makes.
  void FollowPythonChildren(uint32_t node, State& state) {
    for (const bool loops : {true, false}) {
      tree_.ForEachChild(node, [&](uint32_t child) {
        if ((nodes_[child].kind == "for_in_clause") == loops) Follow(child, state);
      });
    }
  }

  void FollowToken(uint32_t node, State& state) {
    const uint32_t token = tokens_.first[node];
    if (!tokens_.tokens[token].variable) return;
    const auto set = state.find(names_[token]);
    FlowEdge& edge = NewEdge(token, /*computed=*/false);
    if (set != state.end()) {
      Spend(set->second.size());
      edge.names = {edge.name};
      edge.places.assign(set->second.begin(), set->second.end());
    }
    if (set == state.end() && nodes_[node].kind == "identifier") Set(token, state);
  }

  // An edge from each of `values` to each of `names`, which are set.
  void Connect(Tokens names, Tokens values, bool computed, State& state) {
    for (const uint32_t name : names) {
      for (const uint32_t& value : values) Add(name, computed, {&value, 1});
      Set(name, state);
    }
  }

  void FollowDeclaration(uint32_t node, State& state) {
    const uint32_t name = Part(node, "name"), value = tree_.Child(node, "value");
    if (value != 0) {
      Follow(value, state);
      Connect(Variables(name), Variables(value), /*computed=*/false, state);
      return;
    }
    for (const uint32_t variable : Variables(name)) {
      Add(variable, /*computed=*/false, {});
      Set(variable, state);
    }
  }

  void FollowAssignment(uint32_t node, State& state) {
    const uint32_t right = Part(node, "right");
    Follow(right, state);
    Connect(Variables(Part(node, "left")), Variables(right), /*computed=*/true, state);
  }

  using Nodes = std::vector<uint32_t>;

  Nodes ChildrenButCommas(uint32_t node) {
    Nodes children;
    tree_.ForEachChild(node, [&](uint32_t child) {
      if (nodes_[child].kind != ",") children.push_back(child);
    });
    Spend(children.size());
    return children;
  }

  // The sides of `a, b = c, d` part by part where they have as many, else as a whole.
  std::pair<Nodes, Nodes> Sides(uint32_t node) {
    const uint32_t left = Part(node, "left"), right = Part(node, "right");
    Nodes left_parts = ChildrenButCommas(left), right_parts = ChildrenButCommas(right);
    if (left_parts.size() != right_parts.size() || left_parts.empty()) return {{left}, {right}};
    return {std::move(left_parts), std::move(right_parts)};
  }

  // Each variable on the left is computed from all on the right of its part.
  void ConnectSides(const Nodes& left, const Nodes& right, State& state) {
    for (const uint32_t part : right) Follow(part, state);
    for (size_t i = 0; i < left.size(); ++i) {
      const Tokens names = Variables(left[i]), values = Variables(right[i]);
      for (const uint32_t name : names) {
        Add(name, /*computed=*/true, values);
        Set(name, state);
      }
    }
  }

  void FollowPythonAssignment(uint32_t node, State& state) {
    if (nodes_[node].kind == "for_in_clause") {
      ConnectSides({Part(node, "left")}, {LastChild(node)}, state);
    } else if (tree_.Child(node, "right") != 0) {
      const auto [left, right] = Sides(node);
      ConnectSides(left, right, state);
    }
  }

  void FollowPythonFor(uint32_t node, State& state) {
    for (int turn = 0; turn < 2; ++turn) {
      const auto [left, right] = Sides(node);
      ConnectSides(left, right, state);
      const uint32_t last = LastChild(node);
      if (nodes_[last].kind == "block") Follow(last, state);
    }
  }

  // All once, then again what stands behind the declaration of the counter.
  void FollowFor(uint32_t node, State& state) {
    FollowChildren(node, state);
    bool again = false;
    tree_.ForEachChild(node, [&](uint32_t child) {
      if (again) Follow(child, state);
      again = again || nodes_[child].kind == rules_.counted_loop_begin;
    });
  }

  void FollowElementLoop(uint32_t node, State& state) {
    const uint32_t name = Part(node, "name"), value = Part(node, "value");
    const uint32_t body = Part(node, "body");
    for (int turn = 0; turn < 2; ++turn) {
      Follow(value, state);
      Connect(Variables(name), Variables(value), /*computed=*/true, state);
      Follow(body, state);
    }
  }

  // Each branch begins with what was set before the statement; behind it anything may have been.
  void FollowBranches(uint32_t node, State& state) {
    const State before = state;
    State after;
    bool has_else = false, in_branches = false;
    tree_.ForEachChild(node, [&](uint32_t child) {
      const std::string_view kind = nodes_[child].kind;
      has_else = has_else || kind.find("else") != std::string_view::npos;
      if (rules_.python) {
        in_branches = kind == "elif_clause" || kind == "else_clause";
      } else {
        in_branches = in_branches || kind == "if_statement" || kind == "else";
      }
      if (!in_branches) {
        Follow(child, state);
        return;
      }
      Spend(before.size());
      State branch = before;
      Follow(child, branch);
      Merge(branch, after);
    });
    Merge(state, after);
    if (!has_else || rules_.keeps_earlier) Merge(before, after);
    for (auto& [name, places] : after) SortOnce(places);
    state = std::move(after);
  }

  void Merge(const State& branch, State& after) {
    Spend(branch.size());
    for (const auto& [name, places] : branch) {
      Spend(places.size());
      auto& merged = after[name];
      merged.insert(merged.end(), places.begin(), places.end());
    }
  }

  uint32_t LastChild(uint32_t node) {
    uint32_t last = 0;
    tree_.ForEachChild(node, [&](uint32_t child) { last = child; });
    return last;
  }

  static void SortByPlace(std::span<FlowEdge> edges) {
    std::stable_sort(edges.begin(), edges.end(), [](const FlowEdge& one, const FlowEdge& other) {
      return one.place < other.place;
    });
  }

  // Of what `follow` adds, edges of one name, place and kind become one.
  template <typename FollowLoop>
  void JoinEdgesOf(const FollowLoop& follow) {
    const size_t before = edges_.size();
    follow();
    SortByPlace(std::span(edges_).subspan(before));
    JoinSorted(before, [](const FlowEdge& one, const FlowEdge& other) {
      return one.name == other.name && one.computed == other.computed;
    });
  }

  // Of the edges from `begin` on, sorted by place, those of one place that are alike become one
  // with the name of the last of them and the sources of all, sorted.
  template <typename Alike>
  void JoinSorted(size_t begin, const Alike& alike) {
    const auto append = [](auto& values, const auto& more) {
      values.insert(values.end(), more.begin(), more.end());
    };
    size_t end = begin;         // of those that are joined
    size_t of_place = begin;    // where those of the last one's place begin
    std::vector<bool> several;  // of each that is joined: of more than one
    for (size_t i = begin; i < edges_.size(); ++i) {
      FlowEdge& edge = edges_[i];
      Spend(edge.places.size());
      if (end > begin && edges_[end - 1].place != edge.place) of_place = end;
      const auto into = std::find_if(edges_.begin() + of_place, edges_.begin() + end,
                                     [&](const FlowEdge& known) { return alike(known, edge); });
      if (into == edges_.begin() + end) {
        if (end != i) edges_[end] = std::move(edge);
        several.push_back(false);
        ++end;
        continue;
      }
      into->name = edge.name;
      into->computed = edge.computed;
      append(into->names, edge.names);
      append(into->places, edge.places);
      several[into - edges_.begin() - begin] = true;
    }
    edges_.erase(edges_.begin() + end, edges_.end());
    for (size_t i = begin; i < end; ++i) {
      if (!several[i - begin]) continue;
      SortOnce(edges_[i].names);
      SortOnce(edges_[i].places);
    }
  }

  template <typename Values>
  static void SortOnce(Values& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }

  const SyntaxTree& tree_;
  const std::vector<SyntaxNode>& nodes_;
  const TreeTokens& tokens_;
  const Rules& rules_;
  std::vector<uint32_t> variables_;       // tokens
  std::vector<uint32_t> first_variable_;  // of each token: how many variables stand before it
  std::vector<Name> names_;               // of each token that is a variable
  std::vector<FlowEdge> edges_;
  int64_t steps_ = kMaxSteps;
  bool failed_ = false;  // there is no data flow to be told
};

}  // namespace

std::vector<FlowEdge> FlowEdges(const SyntaxTree& tree, const TreeTokens& tokens,
                                CodeLanguage language) {
  return FlowReader(tree, tokens, RulesOf(language)).Read();
}

}  // namespace ddpt
