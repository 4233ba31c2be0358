#include "server/evaluation_plan.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/registry/digest_files.h"
#include "server/convert_code.h"

namespace ddpt {
namespace {

constexpr char kNll[] = "nll";
constexpr int kMaxContenders = 32;
constexpr size_t kMaxName = 64;
constexpr uint32_t kMaxReplicates = 100'000;
constexpr uint32_t kDefaultReplicates = 1000;

struct NllCounts {
  double nll = 0, tokens = 0;

  NllCounts& operator+=(const NllCounts& other) {
    nll += other.nll;
    tokens += other.tokens;
    return *this;
  }
};

double NatsAToken(const NllCounts& sum) { return sum.nll / sum.tokens; }

ResampleOptions ResampleOf(const v1::EvaluateRequest& request, const StopToken& stop) {
  return {.resamples = request.has_bootstrap() ? request.bootstrap() : kDefaultReplicates,
          .seed = request.seed(),
          .stop = stop};
}

// A value and those of the resamples.
v1::EvaluateResponse::Cell MakeCell(const std::string& contender, const std::string& column,
                                    double value, std::vector<double> resampled) {
  v1::EvaluateResponse::Cell cell;
  cell.set_contender(contender);
  cell.set_metric(column);
  cell.set_value(value);
  const Interval interval =
      resampled.empty() ? Interval{value, value} : PercentileInterval(std::move(resampled));
  cell.set_low(interval.low);
  cell.set_high(interval.high);
  return cell;
}

template <typename Row>
std::vector<double> Column(const std::vector<Row>& rows, size_t place) {
  std::vector<double> column;
  for (const Row& row : rows) column.push_back(row[place]);
  return column;
}

absl::StatusOr<MethodFigures> MeasureContender(const std::string& contender,
                                               const std::vector<std::string>& codes,
                                               const std::vector<std::string>& references,
                                               std::optional<CodeLanguage> language,
                                               const ResampleOptions& resample) {
  const auto counts =
      CountExamples(codes, references, {.language = language, .stop = resample.stop});
  DDPT_RETURN_IF_ERROR(resample.stop.status());
  if (!counts.ok()) {
    return FieldError("language",
                      absl::StrCat("contender \"", contender, "\", ", counts.status().message()));
  }
  return MeasureMethod(*counts, resample);
}

// All columns that there are.
std::vector<std::string> AllColumns(bool with_language) {
  std::vector<std::string> columns = {kNll};
  columns.insert(columns.end(), kFigureNames.begin(),
                 kFigureNames.begin() + (with_language ? kFigureNames.size() : kTextFigures));
  return columns;
}

std::vector<std::string> ColumnsOf(const v1::EvaluateRequest& request) {
  if (request.metrics().empty()) return AllColumns(!request.language().empty());
  return {request.metrics().begin(), request.metrics().end()};
}

absl::Status CheckColumns(const v1::EvaluateRequest& request) {
  const auto has = [](const std::vector<std::string>& columns, const std::string& metric) {
    return std::find(columns.begin(), columns.end(), metric) != columns.end();
  };
  for (const std::string& metric : request.metrics()) {
    if (!has(AllColumns(/*with_language=*/true), metric)) {
      return FieldError("metrics", absl::StrCat("there is no \"", metric, "\""));
    }
    if (!has(AllColumns(!request.language().empty()), metric)) {
      return FieldError("metrics", absl::StrCat("\"", metric, "\" needs a language"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateEvaluation(const v1::EvaluateRequest& request) {
  if (request.contenders().empty() || request.contenders_size() > kMaxContenders) {
    return FieldError("contenders",
                      absl::StrCat(request.contenders_size(), " are not 1..", kMaxContenders));
  }
  std::set<std::string> names;
  for (const auto& contender : request.contenders()) {
    const std::string& name = contender.name();
    if (name.empty() || name.size() > kMaxName) {
      return FieldError("contenders.name",
                        absl::StrCat("has ", name.size(), " bytes, not 1..", kMaxName));
    }
    if (!names.insert(name).second) {
      return FieldError("contenders.name", absl::StrCat("\"", name, "\" comes twice"));
    }
    if (contender.sampling().anytime()) {
      return FieldError("contenders.sampling.anytime",
                        "true would give other prompts when the server is busy");
    }
  }
  if (request.data_case() == v1::EvaluateRequest::DATA_NOT_SET) {
    return FieldError("data", "is missing: examples or dataset_digest");
  }
  if (request.data_case() == v1::EvaluateRequest::kDatasetDigest) {
    DDPT_RETURN_IF_ERROR(CheckDigest("dataset_digest", request.dataset_digest()));
  }
  if (!request.language().empty() && !CodeLanguageOf(request.language())) {
    return FieldError("language", absl::StrCat("\"", request.language(),
                                               "\" is none of python, javascript, java, c, cpp"));
  }
  DDPT_RETURN_IF_ERROR(CheckColumns(request));
  if (request.bootstrap() > kMaxReplicates) {
    return FieldError("bootstrap",
                      absl::StrCat(request.bootstrap(), " is outside 0..", kMaxReplicates));
  }
  if (request.decoding().n() > 1) {
    return FieldError("decoding.n", absl::StrCat(request.decoding().n(), " is not 1"));
  }
  return FromProto(request.decoding(), /*positions_left=*/1).status();
}

absl::StatusOr<std::vector<v1::EvaluateResponse::Cell>> TableOf(
    const v1::EvaluateRequest& request, const Dataset& data,
    const std::map<EvaluationLog::Place, EvaluationOutcome>& outcomes, const StopToken& stop) {
  const ResampleOptions resample = ResampleOf(request, stop);
  const std::vector<std::string> columns = ColumnsOf(request);
  const bool figures_wanted = columns != std::vector<std::string>{kNll};
  std::vector<std::string> references;
  for (const TrainingExample& example : data.examples) references.push_back(example.code);
  std::vector<v1::EvaluateResponse::Cell> table;
  for (uint32_t contender = 0; contender < uint32_t(request.contenders_size()); ++contender) {
    std::vector<std::string> codes;
    std::vector<NllCounts> nll;
    for (uint64_t example = 0; example < data.examples.size(); ++example) {
      const EvaluationOutcome& outcome = outcomes.at({contender, example});
      codes.push_back(outcome.code);
      nll.push_back({outcome.nll, static_cast<double>(outcome.tokens)});
    }
    const std::string& name = request.contenders(static_cast<int>(contender)).name();
    MethodFigures measured;
    if (figures_wanted) {
      DDPT_ASSIGN_OR_RETURN(
          measured,
          MeasureContender(name, codes, references, CodeLanguageOf(request.language()), resample));
    }
    NllCounts sum;
    for (const NllCounts& one : nll) sum += one;
    for (const std::string& column : columns) {
      if (column == kNll) {
        const std::span<const NllCounts> all = nll;
        table.push_back(
            MakeCell(name, column, NatsAToken(sum), Resampled(all, resample, NatsAToken)));
        continue;
      }
      const size_t place =
          std::find(kFigureNames.begin(), kFigureNames.end(), column) - kFigureNames.begin();
      table.push_back(
          MakeCell(name, column, measured.figures[place], Column(measured.resampled, place)));
    }
    DDPT_RETURN_IF_ERROR(stop.status());
  }
  return table;
}

}  // namespace ddpt
