#include "client/metrics_lint.h"

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr absl::string_view kWrongUnits[] = {"_ms", "_milliseconds", "_percent", "_kb", "_mb"};

struct Family {
  bool helped = false;
  std::string type;
  bool sampled = false;
};

class Linter {
 public:
  void Read(absl::string_view line) {
    if (line.empty()) return;
    if (absl::ConsumePrefix(&line, "# HELP ")) {
      Tell(line).helped = true;
    } else if (absl::ConsumePrefix(&line, "# TYPE ")) {
      const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
      Tell(words[0]).type = words.size() > 1 ? std::string(words[1]) : "";
    } else if (line[0] != '#') {
      Sample(line);
    }
  }

  std::vector<std::string> End(const std::vector<std::string>& wanted) {
    for (const auto& [series, buckets] : infinite_) {
      const auto count = counts_.find(series);
      if (count == counts_.end() || count->second != buckets) {
        Fault(series, ": the bucket +Inf is not the count");
      }
    }
    for (const auto& [series, count] : counts_) {
      if (!infinite_.contains(series)) Fault(series, " has no bucket +Inf");
    }
    for (const std::string& name : wanted) {
      if (!families_.contains(name)) Fault(name, " is missing");
    }
    return std::move(faults_);
  }

 private:
  template <typename... Words>
  void Fault(const Words&... words) {
    faults_.push_back(absl::StrCat(words...));
  }

  Family& Tell(absl::string_view rest) {
    const std::string name(rest.substr(0, rest.find(' ')));
    Family& family = families_[name];
    if (family.sampled) Fault(name, " is told after its samples");
    return family;
  }

  void Sample(absl::string_view line) {
    const size_t end = line.find_last_of(' ');
    double value = 0;
    if (end == absl::string_view::npos || !absl::SimpleAtod(line.substr(end + 1), &value)) {
      return Fault("\"", line.substr(0, 80), "\" has no number");
    }
    const std::string series(line.substr(0, end));
    if (!seen_.insert(series).second) Fault(series, " comes twice");
    const std::string name = series.substr(0, series.find('{'));
    std::string of = name;
    const auto is_histogram = [&](const std::string& family) {
      const auto found = families_.find(family);
      return found != families_.end() && found->second.type == "histogram";
    };
    for (const absl::string_view part : {"_bucket", "_count", "_sum"}) {
      if (!absl::EndsWith(name, part)) continue;
      const std::string stem = name.substr(0, name.size() - part.size());
      if (!is_histogram(stem)) continue;
      of = stem;
      Part(stem, series.substr(name.size()), part, value);
    }
    Family& family = families_[of];
    if (!family.sampled) CheckFamily(of, family);
    family.sampled = true;
  }

  // A sample of a histogram; its series without the label `le`, which comes last.
  void Part(const std::string& stem, const std::string& labels, absl::string_view part,
            double value) {
    if (part == "_count") counts_[stem + (labels.empty() ? "{}" : labels)] = value;
    if (part != "_bucket" || !absl::StrContains(labels, "le=\"+Inf\"")) return;
    std::string others = labels.substr(0, labels.find("le=\""));
    if (absl::EndsWith(others, ",")) others.pop_back();
    infinite_[stem + others + "}"] = value;
  }

  void CheckFamily(const std::string& name, const Family& family) {
    if (!family.helped) Fault(name, " has no HELP before its samples");
    if (family.type.empty()) Fault(name, " has no TYPE before its samples");
    const bool total = absl::EndsWith(name, "_total");
    if (family.type == "counter" && !total) Fault(name, " is a counter without _total");
    if (family.type != "counter" && total) Fault(name, " is no counter, but ends in _total");
    for (const absl::string_view unit : kWrongUnits) {
      if (absl::EndsWith(name, unit)) Fault(name, " is not in a base unit");
    }
  }

  std::map<std::string, Family> families_;
  std::set<std::string> seen_;
  std::map<std::string, double> infinite_, counts_;  // of histograms, by series
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> LintMetrics(std::string_view text,
                                     const std::vector<std::string>& families) {
  Linter linter;
  for (const absl::string_view line : absl::StrSplit(Piece(text), '\n')) linter.Read(line);
  return linter.End(families);
}

const std::vector<std::string>& FamiliesOfAServer() {
  static const auto& families = *new std::vector<std::string>{"grpc_server_started_total",
                                                              "grpc_server_handling_seconds",
                                                              "ddpt_ready",
                                                              "ddpt_requests_running",
                                                              "ddpt_requests_waiting",
                                                              "ddpt_request_duration_seconds",
                                                              "ddpt_request_queue_seconds",
                                                              "ddpt_time_to_first_token_seconds",
                                                              "ddpt_inter_token_latency_seconds",
                                                              "ddpt_generation_tokens_total",
                                                              "ddpt_sample_step_seconds",
                                                              "ddpt_sample_steps",
                                                              "ddpt_sample_batch_size",
                                                              "ddpt_stream_pool_streams",
                                                              "ddpt_stream_pool_wait_seconds",
                                                              "ddpt_kv_cache_usage_ratio",
                                                              "ddpt_kv_cache_reserved_ratio",
                                                              "ddpt_train_jobs",
                                                              "ddpt_train_steps_total",
                                                              "ddpt_train_step_seconds",
                                                              "ddpt_cancel_latency_seconds",
                                                              "ddpt_build_info"};
  return families;
}

}  // namespace ddpt
