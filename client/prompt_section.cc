#include "client/prompt_section.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/html.h"
#include "client/line_chart.h"
#include "client/output.h"
#include "client/scatter_plot.h"

namespace ddpt {
namespace {

using Point = PointGroup::Point;

// With quotes, since most tokens begin with a space.
std::string Quoted(const std::string& token) {
  return nlohmann::json(token).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Facts(const PromptPicture& picture) {
  const v1::Receipt& receipt = picture.drawn.receipt();
  const Tensor& first = picture.prompts.front();
  return absl::StrCat(
      "<dl>\n",
      Fact("Prompts", absl::StrCat(picture.prompts.size(), " of ", first.shape[0],
                                   " vectors of width ", CountWord(first.shape[1]))),
      Fact("Drawn by",
           absl::StrCat(EnumWord(*v1::Sampler_descriptor(), receipt.sampler(), "SAMPLER_"), ", ",
                        CountWord(receipt.steps()), " steps, seed ", receipt.seed(), ", ",
                        EscapeHtml(receipt.arithmetic()))),
      Fact("Denoiser", absl::StrCat("version ", receipt.version(), "<br>",
                                    CodeElement(receipt.denoiser_digest()))),
      "</dl>\n");
}

// Norms of vector `row` of each prompt.
std::vector<double> NormsOfRow(const PromptPicture& picture, int64_t row) {
  std::vector<double> norms;
  for (const Tensor& prompt : picture.prompts) {
    const int64_t width = prompt.shape[1];
    double sum = 0;
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      sum += double{prompt.data[i]} * prompt.data[i];
    }
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

std::string NormChart(const PromptPicture& picture) {
  const int64_t rows = picture.prompts.front().shape[0];
  Curve mean{.label = "mean of the prompts", .style = Curve::Style::kMarked},
      range{.label = "least and greatest", .style = Curve::Style::kDashed},
      token{.label = "median token"};
  std::vector<std::pair<double, double>> high = {{NAN, NAN}};
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<double> norms = NormsOfRow(picture, row);
    const auto x = static_cast<double>(row + 1);
    double sum = 0;
    for (const double norm : norms) sum += norm;
    mean.points.emplace_back(x, sum / static_cast<double>(norms.size()));
    range.points.emplace_back(x, *std::min_element(norms.begin(), norms.end()));
    high.emplace_back(x, *std::max_element(norms.begin(), norms.end()));
  }
  range.points.insert(range.points.end(), high.begin(), high.end());
  if (!picture.token_norms.empty()) {
    std::vector<float> norms = picture.token_norms;
    const auto middle = norms.begin() + norms.size() / 2;
    std::nth_element(norms.begin(), middle, norms.end());
    token.points = {{0, *middle}, {static_cast<double>(rows), *middle}};
  }
  return RenderLineChart({.title = "Norms of the vectors",
                          .x_label = "vector of the prompt",
                          .x_end = static_cast<double>(rows),
                          .curves = {mean, token, range},
                          .width = 1000,
                          .height = 260});
}

std::string NearestTable(const PromptPicture& picture) {
  std::string rows;
  for (int i = 0; i < picture.first.vectors_size(); ++i) {
    const auto& vector = picture.first.vectors(i);
    absl::StrAppendFormat(&rows, "<tr><td>%d</td><td>%.3f</td><td>", i + 1, vector.norm());
    for (const auto& near : vector.neighbours()) {
      absl::StrAppendFormat(&rows, "<span class=\"token\">%s %.3f</span> ",
                            CodeElement(Quoted(near.token())), near.cosine());
    }
    absl::StrAppend(&rows, "</td></tr>\n");
  }
  return absl::StrCat(
      "<table class=\"words\">\n<thead><tr><th>Vector</th><th>Norm</th>"
      "<th>Nearest tokens by cosine</th></tr></thead>\n<tbody>\n",
      rows, "</tbody>\n</table>\n<p class=\"notes\">Of the first prompt.</p>\n");
}

std::string Map(const PromptPicture& picture) {
  PointGroup vocabulary{.label = "tokens drawn at random", .style = PointGroup::Style::kFaint},
      vectors{.label = "vectors of the prompts"},
      nearest{.label = "their nearest tokens", .style = PointGroup::Style::kNamed};
  const auto& points = picture.map.points;
  const size_t tokens = picture.words.size();
  const auto rows = static_cast<size_t>(picture.prompts.front().shape[0]);
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& [x, y] = points[i];
    if (i < tokens) {
      PointGroup& group = i < picture.nearest.size() ? nearest : vocabulary;
      group.points.push_back({x, y, Quoted(picture.words[i])});
    } else {
      const size_t vector = i - tokens;
      vectors.points.push_back(
          {x, y, absl::StrCat("prompt ", vector / rows + 1, ", vector ", vector % rows + 1)});
    }
  }
  const std::string plot = RenderScatterPlot(
      {.title = "Among the vocabulary", .groups = {vocabulary, vectors, nearest}});
  return absl::StrCat(
      plot, "<p class=\"notes\">",
      absl::StrFormat("Exact t-SNE of directions (all vectors have length 1) in %d iterations, "
                      "perplexity %.4g, seed %d, %d points; it ends at a divergence of %.3f nats. "
                      "Neighbours mean something, distances and sizes of groups do not.",
                      picture.tsne.iterations, picture.tsne.perplexity, picture.tsne.seed,
                      points.size(), picture.map.divergence),
      "</p>\n");
}

}  // namespace

std::string PromptSection(const PromptPicture& picture) {
  std::string section = absl::StrCat("<h2>Prompts of ", EscapeHtml(picture.drawn.receipt().task()),
                                     "</h2>\n", Facts(picture));
  if (picture.first.vectors().empty()) {
    return section + "<p>Keys and values of attention layers, which no tokens are near.</p>\n";
  }
  return absl::StrCat(section, NearestTable(picture), NormChart(picture), Map(picture));
}

}  // namespace ddpt
