#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpt {

// What the variants of BLEU take for the tokens of code. Case is kept.

// The largest runs of letters, digits, underscores and bytes above 127; every other character that
// is not ASCII white space is a token of its own. `a_1+=f("x")` has the tokens a_1 + = f ( " x " ).
std::vector<std::string> CodeTokens(std::string_view code);

// Of the CoNaLa challenge's baseline: the runs of A-Z, a-z, 0-9 and _, parted where a capital
// follows a small letter; every other character that is not white space is a token of its own, both
// quotes written as `. `getName('ä')` has the tokens get Name ( ` ä ` ).
std::vector<std::string> ConalaTokens(std::string_view code);

// WMT's mteval-v13a as sacrebleu has it. In this order: "<skipped>", and "-" with a line feed after
// it, go; &quot; &amp; &lt; &gt; become what they stand for; each of { | } ~ [ \ ] ^ _ ` ! " # $ %
// & ( ) * + : ; < = > ? @ / is a token; so are . and , after or before what is no digit, and -
// after a digit. ' and - are else part of words, which white space parts.
std::vector<std::string> Tokens13a(std::string_view code);

// The same without white space at the end of the code: a last "-" and line feed leave the "-".
std::vector<std::string> TrimmedTokens13a(std::string_view code);

}  // namespace ddpt
