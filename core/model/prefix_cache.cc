#include "core/model/prefix_cache.h"

#include "core/model/cached_prefix.h"

namespace ddpt {

std::shared_ptr<const CachedPrefix> PrefixCache::Find(const std::vector<int64_t>& ids) {
  std::shared_ptr<const CachedPrefix> prefix;
  {
    std::lock_guard lock(mutex_);
    const auto place = places_.find(ids);
    if (place != places_.end()) {
      entries_.splice(entries_.begin(), entries_, place->second);
      prefix = entries_.front().second;
    }
  }
  if (on_find_) on_find_(prefix != nullptr);
  return prefix;
}

void PrefixCache::Keep(const std::vector<int64_t>& ids,
                       std::shared_ptr<const CachedPrefix> prefix) {
  const size_t bytes = prefix->past.bytes();
  std::lock_guard lock(mutex_);
  if (bytes > limit_ || places_.contains(ids)) return;
  bytes_ += bytes;
  entries_.emplace_front(ids, std::move(prefix));
  places_[ids] = entries_.begin();
  while (bytes_ > limit_) {
    bytes_ -= entries_.back().second->past.bytes();
    places_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

size_t PrefixCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace ddpt
