#pragma once

#include <string>
#include <string_view>

namespace ddpt {

// The stem of a word in small letters by M. F. Porter's "An algorithm for suffix stripping"
// (Program 14.3, 1980), with the changes of nltk's PorterStemmer, NLTK_EXTENSIONS:
//
//   words of 1 or 2 characters, and a list of irregular ones, are not stripped
//   step 1      -ies and -ied become -ie in words of 4 letters, else -i; y becomes i after a
//               consonant that does not begin the word
//   step 2      -bli for -abli; -alli first, and what it leaves goes through the step again; -fulli
//               becomes -ful; -logi becomes -log, its l counted to the stem
//   steps 1, 5  a vowel and a consonant alone count as a short syllable, like consonant, vowel,
//               consonant
//
// Characters other than a, e, i, o, u, y are consonants.
std::string PorterStem(std::string_view word);

}  // namespace ddpt
