#include "common/tls/context.h"

#include "common/tls/context_impl.h"

namespace culvert::tls {

Context::Context(Options options) : impl_(std::make_unique<Impl>()) { impl_->options = options; }
Context::~Context() = default;

Context::CacheStats Context::cache_stats() const { return impl_->chains.stats(); }

}  // namespace culvert::tls
