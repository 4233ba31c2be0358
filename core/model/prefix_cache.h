#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ddpt {

struct CachedPrefix;  // core/model/cached_prefix.h

// What a decoder makes of the tokens before an answer (start token, instruction), for models whose
// decoder does not look at the encoder until its last block: it is the same under every prompt, so
// rows share it, at the same time and one after another. Keyed by the ids themselves; the least
// recently used go first. For one model. Thread-safe.
class PrefixCache {
 public:
  // Keeps as many as have `limit` bytes of keys and values. `on_find` is told of each Find whether
  // it found; may be null.
  explicit PrefixCache(size_t limit, std::function<void(bool)> on_find = nullptr)
      : limit_(limit), on_find_(std::move(on_find)) {}

  // Null where there is none.
  std::shared_ptr<const CachedPrefix> Find(const std::vector<int64_t>& ids);
  // One that alone is above the limit, or is there already, is not kept.
  void Keep(const std::vector<int64_t>& ids, std::shared_ptr<const CachedPrefix> prefix);

  // Bytes of keys and values of what is kept, with those that running rows hold, too.
  size_t bytes() const;

 private:
  using Order = std::list<std::pair<std::vector<int64_t>, std::shared_ptr<const CachedPrefix>>>;

  const size_t limit_;
  const std::function<void(bool)> on_find_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  Order entries_;  // the most recently used first
  std::map<std::vector<int64_t>, Order::iterator> places_;
  size_t bytes_ = 0;
};

}  // namespace ddpt
