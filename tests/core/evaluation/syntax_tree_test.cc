#include "core/evaluation/syntax_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ddpt {
namespace {

using testing::ElementsAre;

TEST(SyntaxTreeTest, NodesStandInTheOrderOfTheCode) {
  const SyntaxTree tree = SyntaxTree::Parse("x = y", CodeLanguage::kPython).value();
  std::vector<std::string_view> kinds;
  for (const SyntaxNode& node : tree.nodes()) kinds.push_back(node.kind);
  EXPECT_THAT(kinds, ElementsAre("module", "expression_statement", "assignment", "identifier", "=",
                                 "identifier"));
  const SyntaxNode& assignment = tree.nodes()[2];
  EXPECT_EQ(assignment.children, 3u);
  EXPECT_EQ(assignment.depth, 2u);
  EXPECT_EQ(assignment.past, 6u);
  EXPECT_EQ(tree.Child(2, "right"), 5u);
  EXPECT_EQ(tree.nodes()[5].begin, 4u);
  EXPECT_EQ(tree.Child(2, "type"), 0u);
  EXPECT_FALSE(tree.nodes()[4].named);
}

TEST(SyntaxTreeTest, KnowsItsLanguages) {
  for (const char* name : {"python", "javascript", "java", "c", "cpp"}) {
    ASSERT_TRUE(CodeLanguageOf(name).has_value()) << name;
    EXPECT_FALSE(SyntaxTree::Parse("x", *CodeLanguageOf(name))->nodes().empty()) << name;
  }
  EXPECT_FALSE(CodeLanguageOf("cobol").has_value());
}

TEST(SyntaxTreeTest, WhatIsMissingIsTold) {
  const SyntaxTree tree = SyntaxTree::Parse("int x = 1", CodeLanguage::kC).value();
  EXPECT_TRUE(tree.nodes().back().missing);
  EXPECT_EQ(tree.nodes().back().kind, ";");
}

TEST(SyntaxTreeTest, HiddenTokensAreToldWithTheirPlace) {
  const SyntaxTree tree = SyntaxTree::Parse("x: 'a(' y -= 2; z = 1", CodeLanguage::kPython).value();
  ASSERT_EQ(tree.hidden().size(), 1u);
  EXPECT_EQ(tree.hidden()[0].kind, "_newline");
  EXPECT_EQ(tree.hidden()[0].parent, 0u);
  const SyntaxNode& last_before = tree.nodes()[tree.hidden()[0].before - 1];
  EXPECT_EQ(last_before.end, 7u);
}

TEST(SyntaxTreeTest, HiddenTokensMayHaveNoName) {
  const SyntaxTree tree = SyntaxTree::Parse("#define A", CodeLanguage::kC).value();
  ASSERT_EQ(tree.hidden().size(), 1u);
  EXPECT_FALSE(tree.hidden()[0].named);
  EXPECT_EQ(tree.hidden()[0].parent, 1u);
}

}  // namespace
}  // namespace ddpt
