#include "core/diffusion/cuda_batch.h"

#include <algorithm>
#include <utility>

#include "core/base/math_inline.h"
#include "core/base/status.h"

namespace ddpt::cuda {
namespace {

float HalfOf(float pair, bool upper) {
  const uint32_t bits = inlined::BitsOf(pair);
  return inlined::FloatOf(upper ? bits & 0xffff0000 : bits << 16);
}

// A map's panels with float32 weights, whatever it keeps.
std::vector<float> Float32Panels(const AffineView& map) {
  const size_t panels = PanelsOf(map.outputs);
  std::vector<float> out(panels * map.inputs * kPanelWidth);
  const size_t depth = PanelDepth(map.type, map.inputs);
  for (size_t panel = 0; panel < panels; ++panel) {
    for (size_t k = 0; k < map.inputs; ++k) {
      for (size_t o = 0; o < kPanelWidth; ++o) {
        const size_t element = map.type == WeightType::kBfloat16 ? k / 2 : k;
        float value = map.panels[(panel * depth + element) * kPanelWidth + o];
        if (map.type == WeightType::kBfloat16) value = HalfOf(value, k % 2 == 0);
        out[(panel * map.inputs + k) * kPanelWidth + o] = value;
      }
    }
  }
  return out;
}

// V_1.., M, L.
Buffer<std::byte> PackMaps(const LatentEngine& engine, WeightType type) {
  const size_t h = engine.spec().latent;
  const size_t map_bytes = h / kPanel * PanelBytesPerInput(type) * h;
  std::vector<AffineView> maps;
  for (const PackedAffine& layer : engine.hidden()) maps.push_back(layer.view());
  maps.push_back(engine.feedback());
  maps.push_back(engine.noise());
  std::vector<std::byte> packed(maps.size() * map_bytes);
  for (size_t i = 0; i < maps.size(); ++i) {
    PackMap(type, Float32Panels(maps[i]).data(), static_cast<int>(h), &packed[i * map_bytes]);
  }
  return Buffer<std::byte>(packed);
}

std::vector<float> Biases(const LatentEngine& engine) {
  const size_t h = engine.spec().latent;
  std::vector<float> out;
  for (const PackedAffine& layer : engine.hidden()) {
    out.insert(out.end(), layer.view().bias, layer.view().bias + h);
  }
  out.insert(out.end(), engine.feedback().bias, engine.feedback().bias + h);
  return out;
}

std::vector<float> NullCondition(const LatentEngine& engine) {
  std::vector<float> out = engine.denoiser().weights().condition_null;
  out.resize(engine.spec().latent);
  return out;
}

Device DescribeDevice(int number) {
  Device device;
  Check(Describe(number, &device));
  return device;
}

}  // namespace

Weights::Weights(const LatentEngine& engine, int number)
    : number(number),
      device(DescribeDevice(number)),
      maps(PackMaps(engine, engine.weight_type())),
      bias(Biases(engine)),
      time(std::span(engine.time(0), engine.spec().train_steps * engine.spec().latent)),
      null_condition(NullCondition(engine)),
      down_panels(Float32Panels(engine.down())),
      up_panels(Float32Panels(engine.up())),
      up_bias(std::span(engine.up().bias, engine.up().outputs)),
      context(engine.denoiser().context()),
      latent{.type = engine.weight_type(),
             .latent = static_cast<int>(engine.spec().latent),
             .layers = static_cast<int>(engine.spec().layers),
             .maps = maps.data(),
             .bias = bias.data(),
             .time = time.data(),
             .null_condition = null_condition.data()},
      down{down_panels.data(), nullptr, engine.down().inputs, engine.down().outputs},
      up{up_panels.data(), up_bias.data(), engine.up().inputs, engine.up().outputs} {}

Batch::Batch(std::shared_ptr<const LatentEngine> engine, std::shared_ptr<const Weights> weights,
             size_t capacity)
    : engine_(std::move(engine)),
      weights_(std::move(weights)),
      latent_(engine_->spec().latent),
      size_(engine_->spec().size()),
      places_(capacity),
      slots_(capacity),
      state_(capacity * latent_),
      before_(capacity * latent_),
      phi_(capacity * latent_),
      condition_(capacity * latent_),
      rows_here_(2 * capacity),
      rows_(2 * capacity),
      slots_here_(2 * capacity),
      slots_there_(2 * capacity),
      with_context_here_(capacity),
      with_context_(capacity),
      marks_here_(2 * capacity),
      marks_(2 * capacity),
      initial_noise_(std::min(kRowsThatBegin, capacity) * size_),
      parts_{Part(kRowsThatEnd * size_), Part(kRowsThatEnd * size_)} {}

absl::StatusOr<uint64_t> Batch::Join(const SampleRow& row) {
  DDPT_RETURN_IF_ERROR(ValidateRow(row, engine_->spec()));
  DDPT_RETURN_IF_ERROR(CheckRoom());
  weights_->Use();
  auto table = TableOf(row.options);
  const size_t index = places_.Take();
  Slot& slot = slots_[index];
  slot = {.row = row, .table = std::move(table), .condition = {}};
  if (!row.condition.empty()) {
    const AffineView& map = engine_->condition();
    const float* in = slot.row.condition.data();
    slot.condition.resize(latent_);
    float* out = slot.condition.data();
    engine_->kernels().affine(map, {0, PanelsOf(latent_)}, &in, 1, &out);
  }
  return places_.id(index);
}

std::shared_ptr<const Batch::Table> Batch::TableOf(const SamplingOptions& options) {
  auto table = engine_->Table(options);
  for (const auto& known : tables_) {
    if (known->table == table) return known;
  }
  if (tables_.size() >= kSpareTables) {
    std::erase_if(tables_, [](const auto& known) { return known.use_count() == 1; });
  }
  std::vector<cuda::Step> steps;
  for (const SamplerStep& step : table->steps) {
    steps.push_back({static_cast<int32_t>(step.t), static_cast<float>(step.p),
                     static_cast<float>(step.q), static_cast<float>(step.r),
                     static_cast<float>(step.sigma)});
  }
  tables_.push_back(std::make_shared<Table>(
      Table{std::move(table), Buffer<cuda::Step>(std::span<const cuda::Step>(steps))}));
  return tables_.back();
}

bool Batch::Remove(uint64_t id) {
  const std::optional<size_t> index = places_.Find(id);
  if (index) Release(*index);
  return index.has_value();
}

std::vector<DrawBatch::Finished>& Batch::Step() {
  finished_.clear();
  if (width() == 0) return finished_;
  weights_->Use();
  ListRows();
  BeginRows();
  TakeAllSteps();
  EndSteps();
  FinishRows();
  return finished_;
}

Row Batch::ToRow(const Slot& slot, size_t index) const {
  return {.steps = slot.table->steps.data(),
          .condition = slot.row.condition.empty() ? weights_->null_condition.data()
                                                  : condition_.data() + index * latent_,
          .seed = slot.row.seed,
          .draw = slot.row.draw,
          .slot = static_cast<int32_t>(index),
          .next = static_cast<int32_t>(slot.next_step),
          .count = static_cast<int32_t>(slot.table->table->steps.size()),
          .guidance = static_cast<float>(slot.row.options.guidance_scale)};
}

void Batch::ListRows() {
  order_ = places_.active();
  const auto guided = std::partition(order_.begin(), order_.end(), [this](size_t index) {
    return slots_[index].row.options.guidance_scale == 1;
  });
  unguided_ = guided - order_.begin();
  beginning_.clear();
  for (const size_t index : order_) {
    if (slots_[index].next_step == 0) beginning_.push_back(index);
  }
  const auto given = std::partition(beginning_.begin(), beginning_.end(), [this](size_t index) {
    return slots_[index].row.initial_noise.empty();
  });
  drawn_ = given - beginning_.begin();

  for (size_t i = 0; i < order_.size(); ++i) rows_here_[i] = ToRow(slots_[order_[i]], order_[i]);
  for (size_t i = 0; i < beginning_.size(); ++i) {
    rows_here_[capacity() + i] = ToRow(slots_[beginning_[i]], beginning_[i]);
    slots_here_[i] = static_cast<int>(beginning_[i]);
  }
  stream_.Copy(&rows_here_[0], rows_.data(), order_.size());
  if (beginning_.empty()) return;
  stream_.Copy(&rows_here_[capacity()], rows_.data() + capacity(), beginning_.size());
  stream_.Copy(&slots_here_[0], slots_there_.data(), beginning_.size());
}

// y_T = W x_T.
void Batch::BeginRows() {
  float* const full = initial_noise_.data();
  for (size_t begin = 0; begin < beginning_.size(); begin += kRowsThatBegin) {
    const size_t end = std::min(begin + kRowsThatBegin, beginning_.size());
    if (begin < drawn_) {
      Check(DrawInitialNoise(rows_.data() + capacity() + begin,
                             static_cast<int>(std::min(end, drawn_) - begin), size_, full,
                             stream_.get()));
    }
    for (size_t i = std::max(begin, drawn_); i < end; ++i) {
      stream_.Copy(slots_[beginning_[i]].row.initial_noise.data(), full + (i - begin) * size_,
                   size_);
    }
    Check(Apply(weights_->down,
                {.in = full,
                 .out = state_.data(),
                 .out_slots = slots_there_.data() + begin,
                 .rows = static_cast<int>(end - begin)},
                stream_.get()));
  }
  for (const size_t index : beginning_) {
    Slot& slot = slots_[index];
    if (slot.condition.empty()) continue;
    stream_.Copy(slot.condition.data(), condition_.data() + index * latent_, latent_);
  }
}

void Batch::TakeAllSteps() {
  Check(cudaMemsetAsync(marks_.data(), 0x7f, order_.size() * sizeof(int), stream_.get()));
  const State state = {state_.data(), before_.data(), phi_.data()};
  const auto launch = [&](size_t begin, size_t end, bool guided) {
    if (begin == end) return;
    size_t steps = 0;
    bool noise = false;
    for (size_t i = begin; i < end; ++i) {
      const Slot& slot = slots_[order_[i]];
      steps = std::max(steps, slot.table->table->steps.size() - slot.next_step);
      noise |= slot.table->table->stochastic;
    }
    Check(TakeSteps(weights_->latent, state, rows_.data() + begin, static_cast<int>(end - begin),
                    static_cast<int>(std::min(steps, kSteps)), guided, noise, marks_.data() + begin,
                    weights_->device, stream_.get()));
  };
  launch(0, unguided_, false);
  launch(unguided_, order_.size(), true);
  stream_.Copy(marks_.data(), &marks_here_[0], order_.size());
}

void Batch::EndSteps() {
  ending_.clear();
  for (size_t i = 0; i < order_.size(); ++i) {
    Slot& slot = slots_[order_[i]];
    const size_t count = slot.table->table->steps.size();
    slot.next_step = std::min(slot.next_step + kSteps, count);
    if (slot.next_step < count) continue;
    slots_here_[capacity() + ending_.size()] = static_cast<int>(order_[i]);
    with_context_here_[ending_.size()] = slot.row.add_context ? 1 : 0;
    ending_.push_back({order_[i], i});
  }
}

// x = x0_hat = U phi + u.
void Batch::FinishRows() {
  const size_t parts = (ending_.size() + kRowsThatEnd - 1) / kRowsThatEnd;
  if (parts > 0) {
    stream_.Copy(&slots_here_[capacity()], slots_there_.data() + capacity(), ending_.size());
    stream_.Copy(&with_context_here_[0], with_context_.data(), ending_.size());
    Check(cudaMemsetAsync(marks_.data() + capacity(), 0, ending_.size() * sizeof(int),
                          stream_.get()));
    for (size_t part = 0; part < std::min<size_t>(parts, 2); ++part) StartPart(part);
  } else {
    stream_.Synchronize();
  }
  for (size_t part = 0; part < parts; ++part) {
    CollectPart(part);
    if (part + 2 < parts) StartPart(part + 2);
  }
  for (size_t i = 0; i < order_.size(); ++i) {
    const int failed = marks_here_[i];
    if (!places_.taken(order_[i])) continue;
    if (failed < static_cast<int>(slots_[order_[i]].table->table->steps.size())) {
      Fail(order_[i], static_cast<size_t>(failed));
    }
  }
}

void Batch::StartPart(size_t part) {
  const size_t begin = part * kRowsThatEnd, end = std::min(begin + kRowsThatEnd, ending_.size());
  const Part& memory = parts_[part % 2];
  int* const bad = marks_.data() + capacity() + begin;
  Check(Apply(weights_->up,
              {.in = phi_.data(),
               .in_slots = slots_there_.data() + capacity() + begin,
               .out = memory.there.data(),
               .add = weights_->context.data(),
               .with_add = with_context_.data() + begin,
               .bad = bad,
               .rows = static_cast<int>(end - begin)},
              stream_.get()));
  stream_.Copy(memory.there.data(), memory.here.data(), (end - begin) * size_);
  stream_.Copy(bad, &marks_here_[capacity() + begin], end - begin);
  memory.done.Set(stream_);
}

void Batch::CollectPart(size_t part) {
  const size_t begin = part * kRowsThatEnd, end = std::min(begin + kRowsThatEnd, ending_.size());
  const DenoiserSpec& spec = engine_->spec();
  const Part& memory = parts_[part % 2];
  memory.done.Wait();
  for (size_t i = begin; i < end; ++i) {
    const auto [index, row] = ending_[i];
    const Slot& slot = slots_[index];
    const size_t count = slot.table->table->steps.size();
    const auto failed = std::min(static_cast<size_t>(marks_here_[row]), count - 1);
    if (failed < count - 1 || marks_here_[capacity() + i] != 0) {
      Fail(index, failed);
      continue;
    }
    const float* values = &memory.here[(i - begin) * size_];
    finished_.push_back({places_.id(index), Tensor{{spec.context_length, spec.width},
                                                   std::vector<float>(values, values + size_)}});
    Release(index);
  }
}

void Batch::Fail(size_t index, size_t step) {
  finished_.push_back({places_.id(index), NotFinite(*slots_[index].table->table, step)});
  Release(index);
}

void Batch::Release(size_t index) {
  slots_[index] = Slot();
  places_.Release(index);
}

}  // namespace ddpt::cuda
