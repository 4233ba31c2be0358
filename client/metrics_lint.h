#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpt {

// What is wrong with a scrape in Prometheus' text format, a sentence each; empty where nothing is.
// Every sample belongs to a family that was told before it with HELP and TYPE, counters and no
// others end in _total, no name ends in a unit that is none of Prometheus' base units (_ms,
// _milliseconds, _percent, _kb, _mb), histograms have a bucket +Inf that is their count, no series
// comes twice, values are numbers, and each of `families` is there. Pure.
std::vector<std::string> LintMetrics(std::string_view text,
                                     const std::vector<std::string>& families);

// The families that a server has from its start; those with labels appear with their first event.
const std::vector<std::string>& FamiliesOfAServer();

}  // namespace ddpt
