#pragma once

#include <string_view>

#include "core/evaluation/wordnet.h"

namespace ddpt {

// METEOR of code against one reference each (Banerjee and Lavie 2005), 0 to 1; of a corpus, the
// mean over its examples. What decides the figure:
//
//   tokens      what stands between white space, in small letters (punctuation stays part of them)
//   stages      equal tokens are matched, then of the rest those with equal Porter stems, then
//               where WordNet is given of the rest stems of the prediction with a synonym (of the
//               stem, taken for a word) that is a stem of the reference. A stage goes through the
//               prediction from its end and takes the last free token of the reference. Figures
//               with synonyms are higher.
//   score       (1 - 0.5 (chunks / m)^3) P R / (0.9 P + 0.1 R) with m matches, precision P = m / c,
//               recall R = m / r, and the matches in as few runs, chunks, as are in the same order
//               on both sides without a gap
//   nothing     without a match, and so for an empty text on either side: 0. A prediction of one
//               token that is right scores 0.5.
//
// This is nltk's single_meteor_score of texts split at white space; without WordNet, its first two
// stages.
double Meteor(std::string_view prediction, std::string_view reference, WordNet* wordnet = nullptr);

}  // namespace ddpt
